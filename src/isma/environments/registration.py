"""Ids for Gymnasium: `isma/Paper-v0` and one for every other preset, and `isma/World-v0` for any scenario."""

import gymnasium

from isma.world.shipped import preset_names


def register() -> None:
    """Make the ids known to `gymnasium.make` and `gymnasium.make_vec`."""
    for preset in preset_names():
        _register(identity(preset), {"scenario": preset})
    _register("isma/World-v0", {})


def identity(preset: str) -> str:
    """The id of a preset: that of `paper-migration` is `isma/PaperMigration-v0`."""
    return f"isma/{preset.title().replace('-', '')}-v0"


def _register(name: str, options: dict[str, str]) -> None:
    gymnasium.register(
        name,
        entry_point="isma.environments:ServerEnv",
        vector_entry_point="isma.environments:VectorServerEnv",
        kwargs=options,
    )

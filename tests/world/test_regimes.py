"""The grids of regimes that results are published on: they must not drift from their presets."""

from pathlib import Path

import pytest

from isma.policies import registry
from isma.world import files, vary

FOLDER = Path(__file__).parents[2] / "regimes"
GRIDS = sorted(FOLDER.glob("*.toml"))


@pytest.mark.parametrize("path", GRIDS, ids=lambda path: path.stem)
def test_a_grid_is_its_preset_at_sixteen_points(path: Path) -> None:
    run = files.run_table(path)
    assert run is not None
    scenario, preset = files.load(path), files.load(path.stem)
    named = {"name": preset.name, "description": preset.description}
    assert files.override(scenario, named) == preset
    points = vary.points(scenario, {name: tuple(values) for name, values in run["vary"].items()})
    assert len({files.dumps(point.scenario) for point in points}) == 16
    for name in run["policies"]:
        registry.get(name)


def test_there_is_a_grid() -> None:
    assert [path.stem for path in GRIDS] == ["paper-migration"]

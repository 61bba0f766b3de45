"""The grids of regimes that results are published on: they must not drift from their presets."""

from pathlib import Path

import pytest

from isma.policies import registry
from isma.world import files, vary

FOLDER = Path(__file__).parents[2] / "regimes"
GRIDS = [FOLDER / f"{name}.toml" for name in ("paper-migration", "san-francisco")]


@pytest.mark.parametrize("path", GRIDS, ids=lambda path: path.stem)
def test_a_grid_has_sixteen_points_and_known_policies(path: Path) -> None:
    run, scenario = files.run_table(path), files.load(path)
    assert run is not None
    points = vary.points(scenario, {name: tuple(values) for name, values in run["vary"].items()})
    assert len({files.dumps(point.scenario) for point in points}) == 16
    for name in run["policies"]:
        registry.get(name)


def test_the_grid_of_a_preset_is_that_preset() -> None:
    scenario, preset = files.load(GRIDS[0]), files.load(GRIDS[0].stem)
    named = {"name": preset.name, "description": preset.description}
    assert files.override(scenario, named) == preset

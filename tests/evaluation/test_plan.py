"""What a comparison consists of, and the text that makes it again."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from helpers.small_worlds import tiny

from isma.errors import IsmaError, PolicyError, RunError, ScenarioError
from isma.evaluation.plan import CellKey, Plan
from isma.world import files


def some(**changes: Any) -> Plan:
    given = {"scenario": tiny(), "policies": ("local", "stay"), "seeds": (0, 3), "vary": {}}
    return Plan(**{**given, **changes})


def test_every_policy_meets_every_world() -> None:
    plan = some(vary={"mobility.speed_mps": (10, 20)})
    assert list(plan.cells()) == [
        CellKey(point, policy, seed)
        for point in (0, 1)
        for seed in (0, 3)
        for policy in ("local", "stay")
    ]
    assert [point.scenario.mobility.speed_mps for point in plan.points()] == [10, 20]
    assert [dict(point.values) for point in plan.points()] == [
        {"mobility.speed_mps": 10},
        {"mobility.speed_mps": 20},
    ]
    assert set(plan.made()) == {"local", "stay"}


def test_two_fields_make_a_grid() -> None:
    plan = some(vary={"users.count": (2, 3), "servers.clock_hz": ("1 GHz", "2 GHz", "3 GHz")})
    shapes = [(p.scenario.users.count, p.scenario.servers.clock_hz) for p in plan.points()]
    assert shapes == [(n, hz) for n in (2, 3) for hz in (1e9, 2e9, 3e9)]


def test_its_text_makes_it_again() -> None:
    plan = some(vary={"mobility.speed_mps": (10, 20.5)})
    tree = tomllib.loads(plan.dumps())
    run = tree.pop("run")
    again = Plan(
        files.validate(tree, "again"),
        tuple(run["policies"]),
        tuple(run["seeds"]),
        {field: tuple(values) for field, values in run["vary"].items()},
    )
    assert again == plan
    assert again.dumps() == plan.dumps()
    assert "isma compare" in run["command"]


def test_its_text_is_not_changed_unnoticed(tmp_path: Path) -> None:
    """A digit is refused, unless whoever changed it says so by taking the seal out."""
    path, text = tmp_path / "config.toml", some().dumps()
    path.write_text(text)
    assert files.load(path) == some().scenario
    changed = text.replace("count = 7", "count = 6")
    assert changed != text
    path.write_text(changed)
    with pytest.raises(
        ScenarioError, match=r"has changed since it was written: .* run\.sha256 out"
    ):
        files.load(path)
    path.write_text("\n".join(line for line in changed.splitlines() if "sha256" not in line))
    assert files.load(path).users.count == 6


def test_a_folder_goes_by_scenario_and_varied_fields() -> None:
    plan = some()
    assert plan.folder_name().startswith("paper-")
    assert some(seeds=(0, 4), policies=("nearest",)).folder_name() == plan.folder_name()
    speeds = some(vary={"mobility.speed_mps": (10,)})
    assert some(vary={"mobility.speed_mps": (20, 30)}).folder_name() == speeds.folder_name()
    others = {plan.folder_name(), speeds.folder_name()}
    assert some(scenario=tiny({"users.count": 3})).folder_name() not in others
    assert len(others) == 2


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("paper", "paper-"),
        ("../../evil", "evil-"),
        ("/etc/passwd", "etc-passwd-"),
        ("..", "run-"),
        ("a\0b\nc", "a-b-c-"),
        ("C:\\temp", "C-temp-"),
        ("Köln Süd", "K-ln-S-d-"),
        ("x" * 5000, "x" * 60 + "-"),
        ("", "run-"),
    ],
)
def test_a_name_never_leads_out_of_the_place_of_runs(name: str, begins: str) -> None:
    scenario = files.load("paper").model_copy(update={"name": name})
    folder = some(scenario=scenario).folder_name()
    assert re.fullmatch(re.escape(begins) + "[0-9a-f]{6}", folder)


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"policies": ()}, PolicyError, "policies must name at least one"),
        ({"policies": ("local", "local")}, PolicyError, "policies must differ, got local, local"),
        ({"seeds": ()}, RunError, "seeds must be at least 1"),
        ({"vary": {"a": (1,), "b": (1,), "c": (1,)}}, RunError, "at most 2 fields"),
    ],
)
def test_what_cannot_be_compared(changes: dict[str, Any], kind: type[IsmaError], said: str) -> None:
    with pytest.raises(kind) as told:
        some(**changes)
    assert said in str(told.value)

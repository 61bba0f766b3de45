"""Scenarios from tables, and what no table may hold: depth, digits, text that no file can hold."""

from pathlib import Path
from typing import Any

import pytest

import isma
from isma.errors import ScenarioError
from isma.world import files
from isma.world.vary import scalar


def test_a_scenario_from_tables_is_that_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('name = "a"\n[users]\ncount = 3\n[mobility]\nspeed_mps = 5\n')
    tables = {"name": "a", "users": {"count": 3}, "mobility": {"kind": "steady", "speed_mps": 5}}
    (tmp_path / "a.toml").write_text(
        'name = "a"\n[users]\ncount = 3\n[mobility]\nkind = "steady"\nspeed_mps = 5\n'
    )
    made = isma.load_scenario(tables, {"sites.count": 4})
    assert made == isma.load_scenario(tmp_path / "a.toml", {"sites.count": 4})
    assert tables == {
        "name": "a",
        "users": {"count": 3},
        "mobility": {"kind": "steady", "speed_mps": 5},
    }
    assert isma.load_scenario(made.model_dump()) == made
    assert isma.load_scenario({"users.count": 3}).users.count == 3


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"users": {"cuont": 3}}, "unknown field 'users.cuont': did you mean 'users.count'?"),
        ({"users": 3}, "users"),
        ({3: 4}, "must have names, got 3"),
        ({"users": {"count": 2**31}}, "users.count must be below 2\\^31"),
        ({"users": {"count": 10**5000}}, "whole numbers must be below 2\\^63"),
        (
            {"users": {"count": 3}, "radio": {"power_w": 1e-300}},
            "must be greater than or equal to 0.0000",
        ),
        ({"users": {"count": 3}, "name": "a\0b"}, "name must be text, without NUL"),
        ({"users": {"count": 3}, "name": "\ud800"}, "name must be"),
        (
            {"users": {"count": 3}, "sites": {"kind": "file", "file": "caf\udce9.csv"}},
            "sites.file must have a name in UTF-8, got .*caf.udce9.csv",
        ),
        ({"users": {"count": 3}, "broadcast": {"period_s": 1e9}}, "must be below 2\\^31 slots"),
    ],
)
def test_tables_that_are_no_scenario(tables: Any, said: str) -> None:
    with pytest.raises(ScenarioError, match=said):
        isma.load_scenario(tables)


def nested(levels: int) -> Any:
    tree: Any = 1
    for _ in range(levels):
        tree = {"a": tree}
    return tree


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 3000, "[" + ".".join("a" * 5000) + "]", "a." * 20 + "a = 1"]
)
def test_a_file_that_is_too_deep(text: str, tmp_path: Path) -> None:
    (tmp_path / "deep.toml").write_text(text)
    with pytest.raises(ScenarioError) as told:
        files.load(tmp_path / "deep.toml")
    assert len(str(told.value)) < 500
    with pytest.raises(ScenarioError, match="at most 8 levels"):
        files.load(nested(2000))


def test_a_number_of_five_thousand_digits(tmp_path: Path) -> None:
    (tmp_path / "long.toml").write_text(f"[users]\ncount = {'9' * 5000}\n")
    with pytest.raises(ScenarioError, match="whole numbers must be below 2"):
        files.load(tmp_path / "long.toml")
    with pytest.raises(ScenarioError, match="a value must be shorter, got '999"):
        scalar("9" * 5000)
    with pytest.raises(ScenarioError, match="a value must be shorter"):
        scalar("[" * 100_000)

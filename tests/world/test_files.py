"""Scenario files: presets, overrides, relative paths, and names that are nearly right."""

import hashlib
from pathlib import Path

import pytest

from isma.errors import DataError, ScenarioError
from isma.world import files
from isma.world.motion import Trace


def test_every_preset_loads_and_comes_back_the_same(tmp_path: Path) -> None:
    assert "paper" in files.preset_names()
    for name in files.preset_names():
        preset = files.load(name)
        assert preset.name == name
        assert preset.description
        copy = tmp_path / f"{name}.toml"
        copy.write_text(files.dumps(preset))
        assert files.load(copy) == preset


def test_overrides_by_short_and_full_name() -> None:
    paper = files.load("paper", {"clock_hz": "3.19 GHz", "users.count": 7, "name": "mine"})
    assert paper.servers.clock_hz == 3.19e9
    assert (paper.users.count, paper.name) == (7, "mine")
    assert files.load("paper").users.count == 40
    faster = files.override(paper, {"speed_mps": "36 km/h", "mobility.turn_std_rad_per_sqrt_s": 0})
    assert faster.mobility.speed_mps == pytest.approx(10)
    assert faster.servers.clock_hz == 3.19e9


def test_a_table_that_is_not_the_one_of_the_digest_is_refused(tmp_path: Path) -> None:
    table, path = tmp_path / "sites.csv", tmp_path / "city.toml"
    table.write_text("site_id,latitude,longitude\na,50.0,8.0\nb,50.01,8.0\n")
    digest = hashlib.sha256(table.read_bytes()).hexdigest()
    linked = '[users]\ncount = 2\n[backhaul]\nkind = "gabriel"\n'
    path.write_text(f'{linked}[sites]\nkind = "file"\nfile = "sites.csv"\nsha256 = "{digest}"\n')
    assert files.load(path).sites.sha256 == digest
    other = tmp_path / "other.csv"
    other.write_text(table.read_text().replace("50.01", "50.02"))
    assert files.load(path, {"sites.file": str(other)}).sites.sha256 is None
    other.replace(table)
    with pytest.raises(
        DataError, match=r"sites.csv: must be the file whose digest .* has as sites"
    ):
        files.load(path)


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("spedd", "unknown field 'spedd': did you mean 'speed_mps'?"),
        ("servers.clok_hz", "unknown field 'servers.clok_hz': did you mean 'servers.clock_hz'?"),
        (
            "count",
            "field 'count' must be written in full: one of servers.count, sites.count, users.count",
        ),
        ("users.count.x", "unknown field 'users.count.x': did you mean 'users.count'?"),
    ],
)
def test_unknown_fields_suggest_the_nearest(field: str, said: str) -> None:
    with pytest.raises(ScenarioError) as told:
        files.load("paper", {field: 1})
    assert said in str(told.value)


def test_every_field_can_be_named() -> None:
    names = files.field_names()
    assert {"users.count", "mobility.speed_mps", "mobility.file", "visibility"} <= set(names)
    assert len(names) == len(set(names))
    assert all(files.full_name(name) == name for name in names)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("papr", "unknown scenario 'papr': did you mean 'paper'?"),
        ("nowhere.toml", "nowhere.toml: no such file; presets are campus, highway"),
        ("san-francisco", "made from data that you import: isma scenario import cabspotting"),
    ],
)
def test_scenarios_that_are_not_there(
    source: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ScenarioError) as told:
        files.load(source)
    assert said in str(told.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[users\ncount = 3", "not a TOML file"),
        (b"\xff\x00", "not UTF-8 text: save it as UTF-8"),
        (b"[users]\ncuont = 3", "unknown field 'users.cuont': did you mean 'users.count'?"),
        (b"[usrs]\ncount = 3", "unknown field 'usrs': did you mean 'users'?"),
        (b"users = 3", "users"),
        (b"[users]\ncount = 3\n[servers]\nclock_hz = nan", "servers.clock_hz must be a finite"),
    ],
)
def test_files_that_are_wrong(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(ScenarioError) as told:
        files.load(path)
    assert str(told.value).startswith(f"{path}: ")
    assert said in str(told.value)
    assert "\n" not in str(told.value)


def test_a_folder_is_no_scenario(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="cannot be read: must be a file, got a folder"):
        files.load(tmp_path)


def test_paths_are_taken_from_the_files_folder(tmp_path: Path) -> None:
    path = tmp_path / "city" / "mine.toml"
    path.parent.mkdir()
    path.write_text(
        '[sites]\nkind = "file"\nfile = "sites.csv"\n[backhaul]\nkind = "delaunay"\n'
        f'[mobility]\nkind = "trace"\nfile = "{tmp_path}/trace.parquet"\n'
        "start = 2008-05-31T18:00:00Z\n"
    )
    city = files.load(path)
    assert isinstance(city.mobility, Trace)
    assert city.sites.file == path.parent / "sites.csv"
    assert city.mobility.file == tmp_path / "trace.parquet"
    copy = tmp_path / "copy.toml"
    copy.write_text(files.dumps(city))
    assert files.load(copy) == city


def test_a_runs_own_table_is_no_part_of_its_scenario(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(files.dumps(files.load("paper")) + '\n[run]\npolicies = ["local"]\n')
    assert files.load(path) == files.load("paper")
    assert files.run_table(path) == {"policies": ["local"]}
    assert files.run_table("paper") is None


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("policies = 3", "run.policies must be a valid list, got 3"),
        ('seeds = ["a"]', "run.seeds must be a valid integer"),
        ("vary = 3", "run.vary must be a valid dictionary, got 3"),
        ("vary = {speed_mps = 3}", "must be a valid list, got 3"),
    ],
)
def test_a_runs_own_table_is_checked(table: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(files.dumps(files.load("paper")) + f"\n[run]\n{table}\n")
    with pytest.raises(ScenarioError) as told:
        files.run_table(path)
    assert said in str(told.value)
    assert "\n" not in str(told.value)


def test_a_run_that_is_no_table(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("run = 3\n[users]\ncount = 5\n")
    with pytest.raises(ScenarioError, match="run must be a table of what was run: leave it out"):
        files.load(path)

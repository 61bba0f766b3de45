"""The leaderboard: its page is that of its tables, and a row that is not what comes of a run is found."""

import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from helpers.small_worlds import tiny
from typer.testing import CliRunner

import isma
from isma.errors import DataError, IsmaError, PolicyError
from isma.world import files
from leaderboard import page, records, rerun
from leaderboard.commands import app
from leaderboard.records import About, Entry, Track
from leaderboard.rerun import Agreement, Checked
from leaderboard.standings import standings

ABOUT = """
policy = "nearest"
summary = "follows the user"
authors = ["A. Name"]
licence = "MIT"
link = "https://example.org/nearest"
learned = false
budget = "none"
made_with = "a test"
"""
HEADER = (
    "seed,mean_s,task_mean_s,migrations_per_user_hour,overload_ratio,deadline_miss_ratio,wall_s"
)
WORLDS = "3,2,2,40,0.1,0,1", "5,4,4,0,0,0,1"


def tell(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A leaderboard of one track with two worlds, bounded by 1 and 2 s, and one entry."""
    (tmp_path / "tracks").mkdir()
    run = '\n[run]\npolicies = ["nearest"]\nseeds = [3, 5]\n'
    (tmp_path / "tracks/small.toml").write_text(files.dumps(tiny()) + run)
    (tmp_path / "tracks/small.bounds.csv").write_text("seed,bound_s\n3,1\n5,2\n")
    entry = tmp_path / "entries/follower"
    entry.mkdir(parents=True)
    (entry / "entry.toml").write_text(ABOUT)
    (entry / "small.csv").write_text("\n".join([HEADER, *WORLDS, ""]))
    return tmp_path


def about(learned: bool) -> About:
    return About(
        policy="nearest",
        summary="a",
        authors=("b",),
        licence="MIT",
        link="https://example.org",
        learned=learned,
        budget="none",
        made_with="c",
    )


def test_the_committed_page_is_that_of_the_committed_tables() -> None:
    tracks = records.read_tracks()
    entries = records.read_entries(tracks)
    assert page.FILE.read_text() == page.page(tracks, entries)
    assert {entry.name for entry in entries} >= {"price", "isma2", "drac", "nearest"}


def test_gaps_are_paired_and_against_the_best_rule() -> None:
    track = Track("t", tiny(), (0, 1), bound_s=np.array([1.0, 2.0]))

    def entry(name: str, learned: bool, *mean_s: float) -> Entry:
        rest = dict.fromkeys((*records.MEASURES[1:], records.WALL), np.zeros(2))
        return Entry(name, about(learned), {"t": {"mean_s": np.array(mean_s, float), **rest}})

    # The rule is 1 above the bound in each world, and the learned policy half as much.
    rows = standings(
        track,
        [entry("slow", False, 4, 5), entry("rule", False, 2, 3), entry("new", True, 1.5, 2.5)],
    )
    assert [row.entry.name for row in rows] == ["new", "rule", "slow"]
    new, rule, slow = rows
    assert rule.above_rule is None
    assert rule.gap_closed is None
    assert new.gap_closed is not None
    assert new.gap_closed.ratio == pytest.approx(0.5)
    assert (new.gap_closed.low, new.gap_closed.high) == pytest.approx((0.5, 0.5))
    assert new.above_rule is not None
    assert new.above_rule.ratio == pytest.approx(2 / 2.5 - 1)
    assert new.above_rule.low < new.above_rule.ratio < new.above_rule.high
    assert slow.gap_closed is not None
    assert slow.gap_closed.ratio == pytest.approx(-2)


def test_a_row_from_a_run_is_confirmed_and_a_forged_one_is_not(root: Path, tmp_path: Path) -> None:
    track, table = root / "tracks/small.toml", root / "entries/follower/small.csv"
    run = isma.compare(track, "nearest", seeds=(3, 5), out=tmp_path / "run")
    bounds = run.seeds[["seed", "bound_s"]]
    (root / "tracks/small.bounds.csv").write_text(bounds.to_csv(index=False))
    assert tell("enter", tmp_path / "run", "follower", "--root", root).exit_code == 0
    confirmed = tell("validate", "follower", "--root", root, "--seeds", "all")
    assert confirmed.exit_code == 0, confirmed.output
    assert confirmed.output.count("identical") == 2

    honest = table.read_text()
    mean_s = honest.splitlines()[2].split(",")[1]
    table.write_text(honest.replace(mean_s, f"{0.98 * float(mean_s)!r}"))
    forged = tell("validate", "follower", "--root", root, "--seeds", "5")
    assert isinstance(forged.exception, IsmaError)
    assert "small world 5: different: mean_s is" in forged.output
    assert "not confirmed" in str(forged.exception)


def test_rounding_elsewhere_is_no_forgery() -> None:
    agreement = lambda *numbers: Checked(0, *numbers).agreement  # noqa: E731
    assert agreement("mean_s", 2.0, 2.0) is Agreement.IDENTICAL
    assert agreement("mean_s", 2.01, 2.0) is Agreement.CLOSE
    assert agreement("mean_s", 1.96, 2.0) is Agreement.DIFFERENT
    assert agreement("bound_s", 1.99, 2.0) is Agreement.DIFFERENT
    assert agreement("migrations_per_user_hour", 3.0, 0.0) is Agreement.CLOSE
    assert agreement("migrations_per_user_hour", 0.0, 80.0) is Agreement.DIFFERENT
    assert agreement("overload_ratio", 0.0, 0.2) is Agreement.DIFFERENT


def test_the_code_of_others_runs_only_where_it_is_typed(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, mark = tmp_path / "stranger", tmp_path / "ran"
    package.mkdir()
    (package / "theirs.py").write_text(f"open({str(mark)!r}, 'w')\nclass Theirs: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    named = ABOUT.replace('"nearest"', '"stranger.theirs:Theirs"')
    (root / "entries/follower/entry.toml").write_text(named)
    refused = tell("validate", "follower", "--root", root)
    assert isinstance(refused.exception, PolicyError)
    assert "cannot ask for code to be run" in str(refused.exception)
    other = tell("validate", "follower", "--root", root, "--policy", "stranger.others:Others")
    assert isinstance(other.exception, PolicyError)
    assert tell("page", "--root", root, "--out", tmp_path / "page.md").exit_code == 0
    assert not mark.exists()
    assert "stranger.theirs" not in sys.modules
    typed = tell("validate", "follower", "--root", root, "--policy", "stranger.theirs:Theirs")
    assert mark.exists()
    assert "must be a subclass of" in str(typed.exception)


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("small.csv", WORLDS[1], "", "a row for each world"),
        ("small.csv", WORLDS[1], WORLDS[0], "a row for each world"),
        ("small.csv", "5,4,4", "5,1.9,4", "at least the lower bound of any policy"),
        ("small.csv", "5,4,4", "5,4,nan", "task_mean_s must hold finite numbers"),
        ("small.csv", "5,4,4", "5,4,-1", "task_mean_s must hold finite numbers"),
        ("small.csv", "0.1,0,1", "1.1,0,1", "overload_ratio must be at most 1"),
        ("small.csv", "wall_s", "time_s", "must have the columns"),
        ("small.csv", WORLDS[1], "5,4", "task_mean_s must hold finite numbers"),
        ("entry.toml", "learned", "taught", "learned: Field required"),
        ("entry.toml", "budget", "cost", "budget: Field required"),
        ("entry.toml", "https:", "javascript:", "link"),
        ("entry.toml", '"MIT"', '"a | b"', "licence"),
        ("entry.toml", '"MIT"', '"MIT', "not a TOML file"),
    ],
)
def test_a_table_that_cannot_be_is_refused(
    root: Path, file: str, old: str, new: str, said: str
) -> None:
    path = root / "entries/follower" / file
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(DataError, match=said) as refused:
        records.read_entries(records.read_tracks(root), root)
    assert "\n" not in str(refused.value)


def test_a_run_of_other_worlds_makes_no_row(root: Path, tmp_path: Path) -> None:
    described = files.dumps(tiny({"users.count": 6}))
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.toml").write_text(described + '\n[run]\npolicies = ["nearest"]\nseeds = [3]\n')
    other = tell("enter", run, "follower", "--root", root)
    assert "must be a run of a track as it is" in str(other.exception)
    same = (root / "tracks/small.toml").read_text()
    (run / "config.toml").write_text(same.replace("[3, 5]", "[3]"))
    part = tell("enter", run, "follower", "--root", root)
    assert "every world of the track small, not yet 5" in str(part.exception)


def test_a_reference_has_no_row(root: Path) -> None:
    path = root / "entries/follower/entry.toml"
    path.write_text(path.read_text().replace('"nearest"', '"full-information"'))
    told = tell("validate", "follower", "--root", root, "--seeds", "3")
    assert "a reference has no row" in str(told.exception)
    strange = tell("validate", "follower", "--root", root, "--seeds", "4")
    assert "worlds must be of the track" in str(strange.exception)


def test_worlds_are_drawn_anew() -> None:
    track = Track("t", tiny(), tuple(range(40)), np.ones(40))
    assert len({rerun.sample(track, 2) for _ in range(8)}) > 1
    assert rerun.sample(track, 100) == track.seeds


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [path.parent.name for path in sorted(records.ROOT.glob("entries/*/entry.toml"))]
)
def test_the_committed_rows_are_confirmed(name: str) -> None:
    told = tell("validate", name, "--worlds", "1")
    assert told.exit_code == 0, told.output

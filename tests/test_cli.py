"""The commands as a person meets them: one line for a mistake, and Ctrl-C loses nothing."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pandas as pd
import pytest
from helpers import made_up_runs
from helpers.mistakes import MISTAKES
from helpers.quick_reports import leave_out_figures
from helpers.small_worlds import tiny
from markupsafe import escape

import isma as isma_package
from isma import cli
from isma.cli import benchmark, progress
from isma.cli.comparison import print_run
from isma.cli.main import INTERRUPTED
from isma.evaluation.comparison.tables import Run
from isma.world import files


@pytest.fixture(autouse=True)
def no_lines_of_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log hears of slow work every ten seconds, which a machine with much to do takes for anything."""
    monkeypatch.setattr(progress, "LINE_EVERY_S", 1e6)


SMALL = ["--set", "users.count=7", "--set", "sites.count=3", "--set", "warmup_s=5"]
SHORT = [*SMALL, "--set", "duration_s=20"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["isma", *arguments])
    with pytest.raises(SystemExit) as left:
        cli.main()
    return int(left.value.code or 0)


@pytest.mark.parametrize(("arguments", "said"), MISTAKES)
def test_a_mistake_is_one_line(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "broken.toml").write_text("[users")
    (tmp_path / "typo.toml").write_text("[users]\ncuont = 3")
    (tmp_path / "run.toml").write_text(files.dumps(tiny()) + "\n[run]\npolicies = 3\nseeds = 4\n")
    (tmp_path / "trace.toml").write_text(
        'backhaul.kind = "delaunay"\n[sites]\nkind = "file"\nfile = "sites.csv"\n'
        '[mobility]\nkind = "trace"\nfile = "trace.parquet"\n'
    )
    (tmp_path / "sites.csv").write_text(
        "site_id,latitude,longitude\na,37.7,-122.4\nb,37.8,-122.4\n"
    )
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes").write_text("mine")
    status = run(monkeypatch, *arguments)
    out, err = capsys.readouterr()
    lines = err.strip().splitlines()
    assert status not in (0, INTERRUPTED)
    assert out == ""
    assert len(lines) == 1, err
    assert lines[0].startswith("isma: ")
    assert said in lines[0]
    assert not (tmp_path / "runs").exists()


def test_it_says_its_version(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"isma {isma_package.__version__}\n"


@pytest.mark.parametrize("command", [[], ["scenario"], ["bench"]])
def test_without_a_command_it_shows_its_help(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *command) == 2
    out, err = capsys.readouterr()
    assert "Commands" in out + err
    assert "isma:" not in err


def test_benchmarks_are_those_of_a_copy_of_the_repository(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(benchmark, "_REPOSITORY", tmp_path)
    assert run(monkeypatch, "bench", "simulator") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "isma: isma bench measures in a copy of the repository, and the installed package brings no "
        "benchmarks: run python -m benchmarks there"
    )


DEFAULTS = [
    (["compare"], ["local, random, stay", "isma2 besides", "(5)", "runs/NAME-DIGEST"]),
    (["merge"], ["runs/NAME-DIGEST"]),
    (["bound"], ["(1)"]),
    (["explain"], ["isma2, price, or else its first", "(its first)"]),
    (["train"], ["the model's", "runs/MODEL-DIGEST"]),
    (["reproduce"], ["runs/reproduce-SCALE or runs/STUDY-SCALE"]),
    (["scenario", "import"], ["the busiest"]),
]


@pytest.mark.parametrize(("command", "defaults"), DEFAULTS)
def test_help_states_what_is_taken_where_nothing_is_given(
    command: list[str],
    defaults: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, *command, "--help") == 0
    told = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert [default for default in defaults if default not in told] == []


def test_scenarios_can_be_looked_at(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(monkeypatch, "scenario", "list") == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in [*files.preset_names(), *files.IMPORTED])
    assert run(monkeypatch, "scenario", "show", "paper", "--set", "clock_hz=3.19 GHz") == 0
    (tmp_path / "mine.toml").write_text(capsys.readouterr().out)
    assert files.load(tmp_path / "mine.toml") == files.load("paper", {"clock_hz": 3.19e9})
    assert run(monkeypatch, "scenario", "check", "mine.toml") == 0
    checked = capsys.readouterr().out
    assert checked == "paper: 6 servers, 40 users, 600 s in ticks of 0.1 s: fit to run\n"


def test_compare_says_who_wins_and_a_run_makes_itself_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    asked = ["compare", "paper", *SHORT, "--policies", "local, random", "--seeds", "2"]
    assert run(monkeypatch, *asked) == 0
    out, err = capsys.readouterr()
    (first,) = (tmp_path / "runs").iterdir()
    assert first.name.startswith("paper-")
    assert "random" in out
    assert str(first.relative_to(tmp_path) / "report.html") in out
    assert "isma:" not in err
    assert (first / "report.html").stat().st_size > 10_000
    leave_out_figures(monkeypatch)
    run_table = tomllib.loads((first / "config.toml").read_text())["run"]
    assert (run_table["policies"], run_table["seeds"]) == (["local", "random"], [0, 1])
    assert run(monkeypatch, *asked) == 0, "without --out the same command finds its folder again"
    assert list((tmp_path / "runs").iterdir()) == [first]
    assert "results (a policy in a world): 0 computed, 4 reused" in capsys.readouterr().err
    assert len((first / "times" / "cells.jsonl").read_text().splitlines()) == 4
    typed = shlex.join(["isma", *asked])
    assert (first / "times/command.txt").read_text() == f"{typed}\n"
    assert escape(typed) in (first / "report.html").read_text()
    assert run(monkeypatch, "compare", str(first / "config.toml"), "--out", "second") == 0
    for name in ("config.toml", "seeds.csv", "users.parquet", "tasks.parquet"):
        assert (first / name).read_bytes() == (tmp_path / "second" / name).read_bytes(), name
    capsys.readouterr()
    assert run(monkeypatch, "compare", "second", "--seeds", "1..2", "-q") == 0
    out, err = capsys.readouterr()
    assert (out, err) == (f"{Path('second/report.html')}\n", "")
    held = tomllib.loads((tmp_path / "second/config.toml").read_text())["run"]
    assert (held["policies"], held["seeds"]) == (["local", "random"], [1, 2]), "the rest is kept"
    assert len((tmp_path / "second/times/cells.jsonl").read_text().splitlines()) == 6


def test_shards_are_put_together(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    leave_out_figures(monkeypatch)
    asked = ["compare", "paper", *SHORT, "--policies", "local", "--seeds", "2"]
    assert run(monkeypatch, *asked, "--shard", "1/2", "-q") == 0
    first = capsys.readouterr().out.strip()
    assert first.endswith("-1-of-2")
    assert run(monkeypatch, *asked, "--shard", "2/2", "--out", "second", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"scenario": "paper", "folder": "second", "shard": "2/2"}
    assert run(monkeypatch, "compare", "second") == 0
    out, err = capsys.readouterr()
    assert out.startswith("shard 2/2 is done, and has no report: isma merge puts")
    assert "0 computed, 1 reused" in err
    assert run(monkeypatch, "report", "second") == 1
    assert "second holds shard 2/2 of a run: isma merge puts" in capsys.readouterr().err
    assert run(monkeypatch, "merge", first, "second") == 0
    out, err = capsys.readouterr()
    assert str(Path(first.removesuffix("-1-of-2")) / "report.html") in out
    assert "results (a policy in a world): 0 computed, 2 reused" in err


def test_a_finished_run_is_told_again_without_running(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    leave_out_figures(monkeypatch)
    made_up_runs.write(tmp_path / "made")
    monkeypatch.setenv("COLUMNS", "60")
    assert run(monkeypatch, "report", "made") == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 60
    assert any(line.split()[:2] == ["price", "30.82"] for line in lines)
    assert any("not shown at 60 columns" in line for line in lines)
    assert lines[-1] == str(Path("made/report.html"))
    print_run(Run.load(tmp_path / "made"), quiet=False, as_json=True)
    told = json.loads(capsys.readouterr().out)
    (point,) = told["points"]
    table = pd.read_csv(tmp_path / "made/summary.csv").set_index("policy")
    for row in point["policies"]:
        assert row["mean_s"] == pytest.approx(table["mean_s"][row["policy"]])
    assert told["findings"][0].startswith("`price` is fastest")
    assert run(monkeypatch, "report", "absent") == 1
    assert "absent: must be a run's folder" in capsys.readouterr().err


LEAVES = [
    *(
        ["compare"],
        ["merge"],
        ["report"],
        ["bound"],
        ["explain"],
        ["train"],
        ["reproduce"],
        ["check-policy"],
    ),
    *(["scenario", name] for name in ("list", "show", "check", "import")),
]


@pytest.mark.parametrize("command", LEAVES)
def test_every_command_has_the_same_three_options(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *command, "-h") == 0
    told = capsys.readouterr().out
    assert [
        option for option in ("--json", "--quiet", "-q", "--help", "-h") if option not in told
    ] == []


def test_scenarios_are_told_to_programs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "scenario", "show", "paper", "--json") == 0
    assert files.validate(json.loads(capsys.readouterr().out), "told") == files.load("paper")
    assert run(monkeypatch, "scenario", "check", "paper", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["servers"], told["users"], told["duration_s"]) == (6, 40, 600)
    assert run(monkeypatch, "scenario", "list", "-q") == 0
    assert capsys.readouterr().out.split() == [*files.preset_names(), *files.IMPORTED]


@pytest.mark.parametrize(("before", "after"), [(None, "3"), ("0", "0")])
def test_what_xla_logs_is_not_told_unless_it_is_wanted(
    before: str | None, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It calls a program that is compiled for long an error: of that level 3 lets only fatal ones pass."""
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", before or "")
    if before is None:
        monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
    assert run(monkeypatch, "--version") == 0
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == after


def test_it_runs_where_no_script_is_on_the_path() -> None:
    asked = [sys.executable, "-m", "isma", "--version"]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    assert done.stdout == f"isma {isma_package.__version__}\n"


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("isma comp", ["compare"]),
        ("isma compare high", ["highway"]),
        ("isma compare tiny", ["tiny.toml"]),
        ("isma compare paper -p price,near", ["price,nearest"]),
        ("isma compare paper --pol", ["--policies"]),
    ],
)
def test_a_shell_is_offered_what_may_come_next(
    typed: str,
    offered: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    (tmp_path / "tiny.toml").touch()
    monkeypatch.setenv("_ISMA_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(len(typed.split()) - 1))
    assert run(monkeypatch) == 0
    assert capsys.readouterr().out.split() == offered


CRASHES = """
from isma.policies.plain_python import PlainPolicy
class Crash(PlainPolicy):
    def decide(self, view):
        return 1 / 0
"""


def test_a_strangers_mistake_is_one_line_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "mine_that").mkdir()
    (tmp_path / "mine_that" / "crashes.py").write_text(CRASHES)
    asked = ["compare", "paper", *SHORT, "--seeds", "1", "--out", "kept"]
    assert run(monkeypatch, *asked, "--policies", "local,mine_that.crashes:Crash") == 1
    told = "mine_that.crashes:Crash raises ZeroDivisionError: division by zero"
    where = str(Path("mine_that", "crashes.py"))
    assert capsys.readouterr().err.strip().splitlines() == [
        f"isma: policy {told} ({where}, line 5, in decide)"
    ]


RUNS = "import pathlib\npathlib.Path('RAN').touch()\n"
FOREIGN = ["evil.pol:X", "price,evil.pol:X", "evil.pol:X:size=2"]


@pytest.mark.parametrize("policies", FOREIGN)
@pytest.mark.parametrize("command", ["compare", "bound", "explain"])
def test_a_folder_that_somebody_sent_runs_no_code(
    command: str,
    policies: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """Neither a policy that its file names nor a module that is called like one of isma's libraries."""
    config = files.dumps(tiny())
    listed = ", ".join(f'"{name}"' for name in policies.split(","))
    (tmp_path / "config.toml").write_text(f"{config}\n[run]\npolicies = [{listed}]\nseeds = [0]\n")
    for name in ("evil/__init__.py", "evil/pol.py", "tensorboardX.py", "numpy.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(RUNS)
    path = list(sys.path)
    source = ["."] if command == "explain" else ["config.toml"]
    asked = ["--user", "0", "--time", "1 s"] if command == "explain" else []
    if command == "explain" and "price" in policies:
        asked += ["--user", "99"]
    assert run(monkeypatch, command, *source, *asked) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    if command == "explain" and "price" in policies:  # That one is asked, and the other left alone.
        assert "--user must be 0 to 6, got 99" in line
    else:
        assert "evil.pol:X" in line
        assert "type --polic" in line
    assert not (tmp_path / "RAN").exists()
    assert sys.path == path


def test_a_policy_that_is_typed_is_found_beside_what_is_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "numpy.py").write_text(RUNS)
    (tmp_path / "typed_here.py").write_text(
        "from isma.policies.rules.follow import Stay\nMine = Stay\n"
    )
    assert run(monkeypatch, "check-policy", "typed_here:Nobody") == 1
    assert "typed_here has no Nobody" in capsys.readouterr().err
    assert sys.path[-1] == str(tmp_path)
    assert not (tmp_path / "RAN").exists()


LISTENS = """
import signal
from isma.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""
"""The program, deaf to no Ctrl-C: a job that a shell runs in the background would ignore it."""


def isma(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", LISTENS, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": ""},
    )


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_finished_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A real process, stopped as soon as it has finished a world."""
    asked = ["compare", "paper", *SMALL, "--policies", "local", "--seeds", "4", "--out", "cut"]
    asked += ["--set", "duration_s=3000"]
    process = isma(*asked)
    while process.poll() is None and not list(tmp_path.glob("cut/cells/*.npz")):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == INTERRUPTED, err
    assert out == ""
    assert err.strip().splitlines()[-1].startswith("isma: interrupted")
    assert "Traceback" not in err
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("cut/cells/*.npz")}
    assert 1 <= len(kept) < 4
    assert run(monkeypatch, *asked) == 0
    assert "report.html" in capsys.readouterr().out
    assert all(path.stat().st_mtime_ns == changed for path, changed in kept.items())
    done = [json.loads(line)["seed"] for line in (tmp_path / "cut/times/cells.jsonl").open()]
    assert sorted(done) == [0, 1, 2, 3], "every world once"
    assert list(pd.read_csv(tmp_path / "cut/summary.csv")["seeds"]) == [4]

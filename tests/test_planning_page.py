"""The commands of docs/planning.md, typed as they stand there on a city imported with its first one."""

import re
import shlex
import sys
from pathlib import Path

import pandas as pd
import pytest

from isma import cli

PAGE = Path(__file__).parents[1] / "docs" / "planning.md"
COMMANDS = re.findall(r"^ {4}(isma .+)$", PAGE.read_text(), re.MULTILINE)
INLINE = re.findall(r"`(isma bound .+?)`", PAGE.read_text())
START_S = 1_700_000_000


def typed(monkeypatch: pytest.MonkeyPatch, command: str, *shorter: str) -> None:
    monkeypatch.setattr(sys, "argv", [*shlex.split(command), *shorter])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert not left.value.code


def city(folder: Path, rows: int, columns: int, users: int) -> None:
    """Sites 600 m apart in a grid, and users who drive past them at 25 m/s, a fix every 10 s."""
    north_deg, east_deg = 600 / 111_200, 600 / 73_200  # at 48.85 degrees north
    sites = [
        f"s{row}-{column},{48.85 + row * north_deg:.6f},{2.3 + column * east_deg:.6f}"
        for row in range(rows)
        for column in range(columns)
    ]
    fixes = [
        f"u{user},{START_S + 10 * step},{48.85 + (user % rows) * north_deg + 0.0003:.6f},"
        f"{2.3 + (0.3 * user + 250 * step / 600) * east_deg:.6f}"
        for user in range(users)
        for step in range(13)
    ]
    (folder / "SITES.csv").write_text("\n".join(["site_id,latitude,longitude", *sites]) + "\n")
    (folder / "TRACE.csv").write_text("\n".join(["user,time,lat,lon", *fixes]) + "\n")


def means(folder: Path) -> pd.DataFrame:
    """Mean delays, a row for each point and a column for each policy."""
    table = pd.read_csv(folder / "summary.csv")
    varied = [name for name in table.columns if "." in name]
    return table.pivot(index=varied, columns="policy", values="mean_s")


def imported(monkeypatch: pytest.MonkeyPatch, folder: Path, **size: int) -> None:
    monkeypatch.chdir(folder)
    city(folder, **size)
    assert COMMANDS[0].startswith("isma scenario import csv TRACE.csv --sites SITES.csv")
    typed(monkeypatch, COMMANDS[0], "--duration", "2 min")
    text = (folder / "CITY.toml").read_text()
    assert 'kind = "cold"' in text
    assert 'name = "video-analytics"' in text


@pytest.mark.slow
def test_following_pays_less_the_longer_a_move_stops_a_service(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    imported(monkeypatch, tmp_path, rows=1, columns=6, users=3)
    assert COMMANDS[1].startswith("isma compare CITY.toml --policies stay,nearest,price --vary lat")
    shorter = ("--set", "duration_s=90", "--set", "warmup_s=5", "--out", "run")
    typed(monkeypatch, COMMANDS[1], *shorter)
    mean_s = means(tmp_path / "run")
    assert mean_s.index.names == ["latency.per_hop_s", "migration.downtime_per_hop_s"]
    gain_s = (mean_s["stay"] - mean_s["nearest"]).unstack()
    # A longer stop leaves less of what following gains, and a longer way makes it worth more.
    assert (gain_s[0.5] > gain_s[2.0]).all()
    assert (gain_s.loc[0.02] > gain_s.loc[0.005]).all()
    # Who stays pays for hops alone.
    stay_s = mean_s["stay"].unstack()
    assert (stay_s[0.5] == stay_s[2.0]).all()
    assert (stay_s.loc[0.02] > stay_s.loc[0.005]).all()


@pytest.mark.slow
def test_every_other_command_of_the_page_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    imported(monkeypatch, tmp_path, rows=10, columns=20, users=6)
    shorter = ("--set", "duration_s=60", "--set", "warmup_s=5", "--seeds", "1")
    assert [command.split("--vary ")[1].split("=")[0] for command in COMMANDS[2:]] == [
        "decision_period_s",
        "servers",
    ]
    for number, command in enumerate(COMMANDS[2:]):
        typed(monkeypatch, command, *shorter, "--out", f"run{number}")
        mean_s = pd.read_csv(tmp_path / f"run{number}" / "summary.csv")["mean_s"]
        assert mean_s.nunique() > 4
    assert len(INLINE) == 1
    typed(monkeypatch, INLINE[0], *shorter)

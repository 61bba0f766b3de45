"""How many servers are enough: the answer, its sentences, and runs that are not run again for it."""

import dataclasses
from pathlib import Path

import pandas as pd
import pytest
from helpers import made_up_runs
from helpers.small_worlds import tiny
from test_findings import run_of, score

from isma.errors import RunError
from isma.evaluation import cell
from isma.evaluation.bounding import world_bound
from isma.evaluation.comparison.compare import compare
from isma.evaluation.comparison.tables import Run
from isma.evaluation.plan import SERVERS, Plan
from isma.evaluation.report import page as report
from isma.evaluation.report.figures import servers, style
from isma.evaluation.report.findings import findings
from isma.evaluation.report.sizing import limit_s, needs
from isma.evaluation.report.sizing_findings import answers

TRIED = (20, 50, 100)


def asked(limit: float | None, other: list[str] | None = None, **p95_s: list[float]) -> Run:
    """A run at 20, 50 and 100 servers with these p95, as if somebody had asked about a limit."""
    names = {name.replace("_", "-"): values for name, values in p95_s.items()}
    rows = [
        score(name, value / 2, (0.0, 0.0, 0.0), p95_s=value)
        for at in range(len(TRIED))
        for name, values in names.items()
        for value in [values[at]]
    ]
    numbers = [number for number in TRIED for _ in names]
    run = run_of(*rows, points={SERVERS: numbers})
    return (
        run if limit is None else dataclasses.replace(run, config={"run": {"p95_limit_s": limit}})
    )


def test_the_fewest_that_keep_the_limit() -> None:
    run = asked(60.0, price=[83.1, 57.4, 48.5], nearest=[120, 70, 60], full_information=[9, 9, 9])
    assert limit_s(run) == 60
    (found,) = needs(run).values()
    assert [(need.policy, need.fewest, need.fewer) for need in found] == [
        ("price", 50, 20),
        ("nearest", 100, 50),  # 60 s is within 60 s.
    ]
    assert answers(run) == [
        "50 servers are enough, with `price`: 95 % of tasks are done within 60 s (57.4 s; 83.1 s with "
        "20).",
        "`nearest` needs 100 servers (60.0 s; 70.0 s with 50).",
    ]
    assert findings(run)[0] == answers(run)[0], "it is what was asked"


def test_numbers_that_do_not_get_there() -> None:
    run = asked(50.0, price=[83.1, 57.4, 48.5], stay=[90, 80, 81])
    assert answers(run)[1] == "`stay` does not get there: 80.0 s at best, with 50 servers."
    run = asked(40.0, price=[83.1, 57.4, 48.5], stay=[90, 80, 81])
    assert answers(run) == [
        "No number of servers that was tried (20, 50 and 100) is enough: 95 % of tasks are done "
        "within 40 s with none. The nearest to it is `price` with 100: 48.5 s.",
        "`stay` does not get there: 80.0 s at best, with 50 servers.",
    ]


def test_more_servers_can_be_worse_and_fewer_may_do() -> None:
    run = asked(60.0, price=[55.0, 61.0, 48.5], stay=[0.03, 0.02, 0.01])
    assert answers(run) == [
        "20 servers are enough, with `stay`: 95 % of tasks are done within 60 s (30.0 ms; fewer were "
        "not tried).",
        "`price` needs 20 servers (55.0 s; fewer were not tried), but not with 50.",
    ]


def test_nothing_is_said_where_nothing_was_asked() -> None:
    run = asked(None, price=[83.1, 57.4, 48.5])
    assert needs(run) == {}
    assert answers(run) == []
    ordinary = run_of(score("price", 30.0, (0.0, 0.0, 0.0)), run={"p95_limit_s": 3.0})
    assert answers(ordinary) == []


def test_a_second_field_has_an_answer_at_each_value() -> None:
    rows = [
        score("price", 30.0, (0.0, 0.0, 0.0), p95_s=value) for value in (70.0, 50.0, 40.0, 30.0)
    ]
    points = {"users.count": [200, 200, 100, 100], SERVERS: [20, 50, 20, 50]}
    run = dataclasses.replace(run_of(*rows, points=points), config={"run": {"p95_limit_s": 60.0}})
    assert answers(run) == [
        "At users.count = 100: 20 servers are enough, with `price`: 95 % of tasks are done within "
        "60 s (40.0 s; fewer were not tried).",
        "At users.count = 200: 50 servers are enough, with `price`: 95 % of tasks are done within "
        "60 s (50.0 s; 70.0 s with 20).",
    ]


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up run over numbers of servers."""
    world = made_up_runs.World(vary={SERVERS: [2, 4, 6]}, seeds=2)
    return made_up_runs.write(tmp_path_factory.mktemp("runs") / "city", world)


def with_limit(folder: Path, limit: float) -> Run:
    run = Run.load(folder)
    return dataclasses.replace(
        run, config={**run.config, "run": {**run.config["run"], "p95_limit_s": limit}}
    )


def test_the_figure_shows_p95_and_the_limit(city: Path) -> None:
    run = with_limit(city, 68.0)
    with style.theme():
        drawing = servers.draw(run)
        assert drawing is not None
        (axes,) = drawing.canvas.axes
        across = [
            line for line in axes.lines if line.get_ydata()[0] == line.get_ydata()[-1] == 68.0
        ]
        assert len(across) == 1, "the limit"
        price = run.summary[run.summary["policy"] == "price"].sort_values(SERVERS)
        drawn = [list(line.get_ydata()) for line in axes.lines]
        assert price["p95_s"].tolist() in drawn
        rings = [line for line in axes.lines if line.get_markersize() == 12]
        kept = [need for need in needs(run)[None] if need.fewest is not None]
        assert len(rings) == len(kept) > 0
        assert "off the scale: local" in axes.texts[-1].get_text() + "".join(
            text.get_text() for text in axes.texts
        )
        far = servers.draw(with_limit(city, 1.0))
        assert far is not None
        assert any("below all of this" in text.get_text() for text in far.canvas.axes[0].texts)
        assert servers.draw(Run.load(city)) is not None


def test_the_report_answers_first(city: Path) -> None:
    (city / "config.toml").write_text(
        (city / "config.toml").read_text().replace("[run]\n", "[run]\np95_limit_s = 68.0\n")
    )
    page = report.write(city).read_text()
    assert "Servers needed" in page
    assert "servers are enough, with <code>" in page
    assert (city / "figures" / "servers.svg").exists()
    assert (city / "figures" / "servers.png").exists()


def plan_of(limit: float | None, numbers: tuple[int, ...] = (1, 3)) -> Plan:
    return Plan(tiny(), ("nearest", "stay"), (0,), {SERVERS: numbers}, limit)


@pytest.mark.slow
def test_another_limit_runs_nothing_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = compare(plan_of(100.0), tmp_path / "run")
    summary = pd.read_csv(out / "summary.csv")
    assert list(summary[SERVERS]) == [1, 1, 3, 3]
    by = summary.set_index([SERVERS, "policy"])
    # One server for all: nobody can go anywhere else.
    assert by.loc[(1, "nearest"), "mean_s"] == by.loc[(1, "stay"), "mean_s"]
    assert by.loc[(3, "nearest"), "mean_s"] < by.loc[(1, "nearest"), "mean_s"]
    sites = pd.read_csv(out / "sites.csv")
    assert len(sites) == 3
    assert sites["server"].notna().sum() == 1

    def refuse(*_: object) -> None:
        raise AssertionError("this was finished already")

    monkeypatch.setattr(cell, "run", refuse)
    monkeypatch.setattr(world_bound, "world_bound_s", refuse)
    for limit in (200.0, None, 100.0):
        compare(plan_of(limit), out)
        assert (out / "config.toml").read_text() == plan_of(limit).dumps()
    with pytest.raises(AssertionError, match="finished already"):
        compare(plan_of(100.0, (1, 2)), out)


def test_a_limit_names_no_folder() -> None:
    assert plan_of(1.0).folder_name() == plan_of(None).folder_name()
    assert plan_of(1.0).dumps() != plan_of(None).dumps()


@pytest.mark.parametrize("limit", [0.0, -1.0, float("inf"), float("nan")])
def test_limits_that_are_none(limit: float) -> None:
    with pytest.raises(RunError, match="must be a time above 0"):
        plan_of(limit)


def test_a_limit_needs_numbers_of_servers() -> None:
    with pytest.raises(RunError, match="add --vary servers="):
        Plan(tiny(), ("stay",), (0,), {"users.count": (1, 2)}, 3.0)

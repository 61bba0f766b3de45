"""Worlds drawn at random: what is drawn, what is compared, and how it is told."""

import json

import pytest
from typer.testing import CliRunner

from benchmarks import odd_worlds
from benchmarks.commands import app
from benchmarks.odd_worlds import Outcome
from isma.evaluation import cell
from isma.policies import registry
from isma.simulator.params import build
from isma.world import files


def test_a_world_is_what_its_seed_and_number_say() -> None:
    assert odd_worlds.drawn(3, 5) == odd_worlds.drawn(3, 5)
    assert odd_worlds.drawn(3, 5) != odd_worlds.drawn(3, 6)
    assert odd_worlds.drawn(3, 5) != odd_worlds.drawn(4, 5)


def test_what_is_drawn_is_in_range_and_spread_over_it() -> None:
    drawn = [odd_worlds.drawn(0, number).scenario for number in range(40)]
    low, high = odd_worlds.RANGES["backhaul.rate_bps"]
    rates = [scenario.backhaul.rate_bps for scenario in drawn]
    assert low <= min(rates) < 10 * low
    assert high / 10 < max(rates) <= high
    assert all(2 <= (scenario.users.count or 0) <= odd_worlds.MOST_USERS for scenario in drawn)
    forms = {(s.sites.kind, s.sites.count, s.migration.kind) for s in drawn}
    assert forms == {form[:3] for form in odd_worlds.FORMS}


def test_excess_by_hand() -> None:
    """isma2 is 5 % above the best rule in one run, and 20 % below it in the other."""
    runs = [
        *(Outcome(0, 0, "stay", 3.0), Outcome(0, 0, "price", 2.0), Outcome(0, 0, "isma2", 2.1)),
        *(Outcome(1, 0, "stay", 1.0), Outcome(1, 0, "price", 5.0), Outcome(1, 0, "isma2", 0.8)),
    ]
    found = {one.policy: one for one in odd_worlds.excess_of(runs)}
    assert found["isma2"].worst == pytest.approx(0.05)
    assert found["isma2"].median == pytest.approx(-0.075)
    assert found["isma2"].above_2 == pytest.approx(0.5)
    assert found["isma2"].above_10 == 0
    assert found["price"].worst == pytest.approx(4.0)
    text = odd_worlds.as_text(list(found.values()))
    assert text.count("isma2") == 1
    assert "5.0%" in text


@pytest.mark.slow
def test_rows_that_never_come_change_nothing() -> None:
    """A padded batch beside a plain run of the same scenario."""
    world = odd_worlds.drawn(1, 1)
    (found,) = odd_worlds.measure([world], seeds=[1], policies=["price"])
    params, policy = build(world.scenario), registry.get("price")
    plain = cell.run(world.scenario, params, policy, seed=1, on_ticks=lambda count: None)
    assert found.mean_s == pytest.approx(plain.mean_s, rel=1e-3)


@pytest.mark.slow
def test_the_command_compares_and_writes_the_worlds(tmp_path) -> None:
    asked = ["odd-worlds", "--count", "2", "--seeds", "1", "--policies", "stay,nearest", "--json"]
    result = CliRunner().invoke(app, [*asked, "--out", str(tmp_path)])
    assert result.exit_code == 0
    assert len(json.loads(result.stdout)["runs"]) == 4
    written = sorted(tmp_path.iterdir())
    assert [files.load(path) for path in written] == [
        odd_worlds.drawn(0, number).scenario for number in range(2)
    ]

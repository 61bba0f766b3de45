"""The peers' table: that all do the same work, counted in their own state; what is missing is named."""

import json
from collections.abc import Callable
from dataclasses import fields
from importlib import import_module, util
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks import commands, comparison, own, peers
from benchmarks.peers import simulators
from benchmarks.peers.simulators import KnownPeer
from benchmarks.peers.walk import Counts, PeerReady, Walk, record

# Three stations in a row, 1 km apart; a row is a moment, a column a user.
STATION = np.array(
    [
        [0, 1, 2, 0],
        [0, 1, 2, 0],
        [1, 1, 2, 0],
        [1, 1, 1, 0],
        [2, 1, 1, 0],
        [2, 1, 0, 0],
        [2, 1, 0, 0],
    ]
)
SITE_M = np.array([[0.0, 0.0], [1000.0, 0.0], [2000.0, 0.0]])
WALK = Walk(SITE_M, ((0, 1), (1, 2)), SITE_M[STATION] + np.arange(1, 5)[:, None], STATION)
NAMES = [one.name for one in simulators.KNOWN]


def adapter(name: str):
    known = simulators.KNOWN[NAMES.index(name)]
    if util.find_spec(known.package) is None:
        pytest.skip(f"{name} is not installed: {known.install}")
    return import_module(f"benchmarks.peers.{known.adapter}"), known.make


def ready(name: str) -> PeerReady:
    module, make = adapter(name)
    return getattr(module, make)(WALK)


def test_hand_overs_by_hand() -> None:
    # User 0 at moments 2 and 4, user 2 at 3 and 5; of the two others none.
    assert [WALK.handovers(steps) for steps in range(7)] == [0, 0, 1, 2, 3, 4, 4]
    assert (WALK.steps, WALK.users) == (6, 4)


@pytest.mark.parametrize("name", NAMES)
def test_a_peer_serves_every_user_in_every_step_and_follows(name: str) -> None:
    run = ready(name)
    run.go()
    # The last hand-over is a step before the end: all have had the time to follow.
    assert run.count() == Counts(user_steps=6 * 4, moves=4)


@pytest.mark.parametrize("name", NAMES)
def test_a_second_run_counts_for_itself(name: str) -> None:
    ready(name).go()
    run = ready(name)
    run.go()
    assert run.count() == Counts(user_steps=6 * 4, moves=4)


def test_users_of_edgesimpy_end_at_their_last_station() -> None:
    adapter("EdgeSimPy")
    ready("EdgeSimPy").go()
    from edge_sim_py import Service, User

    assert [user.base_station.id - 1 for user in User.all()] == STATION[-1].tolist()
    assert [one.server.base_station.id - 1 for one in Service.all()] == STATION[-1].tolist()


def test_links_of_yafs_end_at_their_last_station() -> None:
    module, _ = adapter("YAFS")
    follow, topology = module._Follow(WALK), module._topology(WALK)

    class Deployed:
        apps = {str(user): module._application(str(user))[0] for user in range(4)}  # noqa: RUF012
        alloc_module = {str(user): {"Service": [user]} for user in range(4)}  # noqa: RUF012
        undeploy_module = deploy_module = staticmethod(lambda *_: None)

    Deployed.topology = topology
    for _ in range(WALK.steps):
        follow.run(Deployed)
    ends = [sorted(topology.G[module._node(WALK, user)]) for user in range(4)]
    assert ends == [[station] for station in STATION[-1]]


def test_users_of_leaf_end_where_they_walked() -> None:
    module, _ = adapter("LEAF")
    world = module._World(WALK)
    world.env.run(until=WALK.steps + 1)
    at = [(user.location.x, user.location.y) for user in world.users]
    np.testing.assert_array_equal(at, WALK.position_m[-1])
    assert [world.servers.index(task.node) for task in world.tasks] == STATION[-1].tolist()


def test_users_of_mobile_env_end_where_they_walked() -> None:
    module, _ = adapter("mobile-env")
    world = module._World(WALK)
    world.go()
    at = [(user.x, user.y) for user in world.env.users.values()]
    np.testing.assert_array_equal(at, WALK.position_m[-1])
    # User 2 has come to station 0 in the last step, and would let go of station 1 in the next.
    held = [[ue.ue_id for ue in world.env.connections[bs]] for bs in world.env.stations.values()]
    assert [sorted(users) for users in held] == [[2, 3], [1, 2], [0]]


def test_ours_follows_the_walk_that_the_others_are_given() -> None:
    walk = record(200)
    offset = walk.position_m[:, :, None] - walk.site_m
    np.testing.assert_array_equal(walk.station, (offset**2).sum(-1).argmin(-1))
    run = own.worlds("nearest", 1, 200)
    run.go()
    counts = run.count()
    assert counts.user_steps == 200 * 40
    # A hand-over in the last step is followed in the next.
    assert counts.moves == walk.handovers(199) > 0


def test_a_batch_counts_all_its_worlds() -> None:
    run = own.worlds("nearest", 2, 3)
    run.go()
    run.go()
    assert run.count().user_steps == 2 * 3 * 40


def test_the_numpy_loop_counts_what_it_lived_through() -> None:
    run = own.numpy(7)
    run.go()
    assert run.count().user_steps == 7 * 40


def test_a_peer_that_is_not_installed_is_named_and_how_to_install_it() -> None:
    found, missing = simulators.find(
        (
            KnownPeer(
                "Absent", "no_such_package", "no-such", "absent_follow", "pip install it", "all"
            ),
        )
    )
    assert not found
    assert missing == [simulators.Missing("Absent", "not installed", "pip install it")]


def test_a_peer_that_breaks_when_imported_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_follow.py").write_text("raise ValueError('an old networkx')")
    monkeypatch.setattr(peers, "__path__", [*peers.__path__, str(tmp_path)])
    known = KnownPeer("Broken", "json", "json", "broken_follow", "pip install it", "all")
    found, missing = simulators.find((known,))
    assert not found
    assert missing[0].why == "ValueError: an old networkx"


def contender(name: str, user_steps: int) -> comparison._Contender:
    def make(walk: Walk) -> PeerReady:
        return PeerReady(lambda: None, lambda: Counts(user_steps * walk.steps, 2))

    return comparison._Contender(name, "1.0", "nearest", 1, make, "" if name == "isma" else "much")


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> comparison.Table:
    monkeypatch.setattr(comparison, "record", lambda steps: WALK)
    monkeypatch.setattr(comparison, "_ours", lambda worlds: [contender("isma", 40)])
    monkeypatch.setattr(comparison, "_theirs", lambda found: [contender("Other", 10)])
    missing = [simulators.Missing("Absent", "not installed", "pip install it")]
    monkeypatch.setattr(simulators, "find", lambda: ([], missing))
    clock = iter(range(10**6))
    monkeypatch.setattr(comparison.time, "perf_counter", lambda: next(clock))
    return comparison.measure(lengths=(6, 6))


def test_rates_and_ratios_by_hand(table: comparison.Table) -> None:
    ours, other = table.rows[:2]
    # By the clock of this test every run takes a second.
    assert (ours.user_steps_per_s, other.user_steps_per_s) == (240, 60)
    assert (ours.ours_is, other.ours_is) == (1, 4)
    assert ours.rounds == comparison.ROUNDS
    assert [row.simulator for row in table.rows] == ["isma", "Other"] * 2


def test_json_has_every_field(table: comparison.Table) -> None:
    told = json.loads(comparison.as_json(table))
    assert list(told) == [field.name for field in fields(comparison.Table)]
    assert [list(row) for row in told["rows"]] == [
        [field.name for field in fields(comparison.PeerRow)]
    ] * 4
    assert told["missing"] == [
        {"name": "Absent", "why": "not installed", "install": "pip install it"}
    ]


def test_text_says_what_is_missing_and_what_is_not_modelled(table: comparison.Table) -> None:
    text = comparison.as_text(table)
    assert "not installed: pip install it" in text
    assert "Other: much" in text


@pytest.mark.parametrize(("flags", "lengths"), [([], (200, 2_000)), (["--quick"], (200,))])
def test_the_command_prints_json_alone(
    flags: list[str], lengths: tuple, table: comparison.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def measure(on_step: Callable[[str], None], lengths: tuple) -> comparison.Table:
        asked.append(lengths)
        return table

    monkeypatch.setattr(comparison, "measure", measure)
    shown = CliRunner().invoke(commands.app, ["peers", "--json", *flags])
    assert shown.exit_code == 0
    assert len(json.loads(shown.stdout)["rows"]) == 4
    assert asked == [lengths]

"""What it means that the two simulators agree."""

import numpy as np
import reference

from helpers.simulators.scripted_policy import Scripted
from helpers.simulators.side_by_side import run_reference, run_simulator
from isma.contract import Memory
from isma.simulator.params import Params
from isma.simulator.state import Draws, State
from isma.simulator.step import TickOutcome

TOLERANCE = 1e-7
"""Both run in double precision: what is left is the order of additions, on paths that bounce."""


def compact(times_s: np.ndarray) -> list[list[float]]:
    return [row[~np.isnan(row)].tolist() for row in np.asarray(times_s)]


def assert_close(name: str, actual: object, expected: object) -> None:
    np.testing.assert_allclose(actual, expected, TOLERANCE, 1e-7, err_msg=name)


def assert_same_times(expected: list[reference.Task], num_users: int, times_s: np.ndarray) -> None:
    for user, row in enumerate(compact(times_s)):
        assert_close("time", row, [task.completion_s for task in expected if task.user == user])
    assert len(times_s) == num_users


def assert_same_tick(expected: reference.Tick, state: State, outcome: TickOutcome) -> None:
    """Everything that a tick leaves behind."""
    placement, motion, heading = state.placement, state.motion, np.asarray(expected.headings_rad)
    assert_same_times(expected.tasks, len(expected.hosts), outcome.completion_time_s)
    assert_close("position", motion.position_m, expected.positions_m)
    assert_close("heading", np.exp(1j * motion.heading_rad), np.exp(1j * heading))
    assert_close("station", state.station, expected.stations)
    assert_close("host", placement.host, expected.hosts)
    assert_close("ratio", placement.offload_ratio, expected.offload_ratios)
    assert_close("request", placement.requested_share, expected.requests)
    assert_close("granted", placement.granted_share, expected.granted)
    assert_close("load", placement.load, expected.loads)
    assert_close("price", placement.price_s, expected.prices)
    assert_close("migrations", outcome.migrations, sum(expected.migrations))
    assert_close("handovers", outcome.handovers, sum(expected.handovers))
    assert_close("overloaded", outcome.overloaded, sum(expected.overloaded))
    if state.downtime is not None:
        assert_close("up", state.downtime.up_slot, expected.up_slots)
        assert_close("down", outcome.down_slots, expected.down_slots)
    if outcome.energy_j is not None:
        for user, row in enumerate(compact(outcome.energy_j)):
            assert_close("energy", row, [t.energy_j for t in expected.tasks if t.user == user])
    if state.fading is not None:
        link = np.stack([state.fading.shadow, state.fading.sight], axis=1)
        assert_close("fading", link, expected.fading)
    if state.outages is not None:
        up = int(state.tick) - 1 >= state.outages.repair_tick
        assert_close("server up", up, expected.up)
    if outcome.present is not None:
        assert_close("present", outcome.present, expected.present)
    if state.backlog is not None:
        assert_close("local line", state.backlog.local_cycles, expected.local_cycles)
        assert_close("edge line", state.backlog.edge_cycles, expected.edge_cycles)
    others = ~np.eye(len(expected.loads), dtype=bool)
    for name, heard, table in (
        ("heard F", state.heard.remaining_hz, expected.news.remaining_hz),
        ("heard price", state.heard.price_s, expected.news.price),
    ):
        everyone = np.broadcast_to(heard, others.shape)
        assert_close(name, everyone[others], np.asarray(table)[others])


def assert_same_view(
    world: reference.World, view: reference.View, tick: reference.Tick, memory: Memory
) -> None:
    """What the acting servers were shown: news, and their own users, born by now."""
    servers, users = memory.per_server, memory.per_user
    for server in np.flatnonzero(tick.acting):
        assert_close("news F", servers["news_hz"][server], view.news.remaining_hz[server])
        assert_close("news price", servers["news_price_s"][server], view.news.price[server])
        assert_close("news age", servers["news_age_s"][server], view.news.age_s[server])
    for user, (station, host) in enumerate(zip(view.stations, view.hosts, strict=True)):
        if tick.acting[host] and view.there[user]:
            assert_close("gain", users["gain"][user] / view.gains[user], 1)
            assert_close("attached", users["station"][user], station)
            assert_close("hosted", users["host"][user], host)
            assert_close("wait", users["wait_s"][user], view.waits_s[user])
            assert_close("local line", users["local_cycles"][user], view.local_cycles[user])
            if world.radio.shared:
                assert_close("band", users["band_hz"][user], view.bands_hz[user])
            assert_close("edge line", users["edge_cycles"][user], view.edge_cycles[user])


def assert_same_run(
    world: reference.World, script: list[Scripted], draws: list[Draws], params: Params, state: State
) -> reference.Result:
    result, views = run_reference(world, script, draws)
    run = run_simulator(params, state, script, draws)
    times_acted, times_decided = np.zeros(len(world.servers)), np.zeros(len(world.users))
    for tick, view, (state, memory, outcome) in zip(result.ticks, views, run, strict=True):
        assert_same_tick(tick, state, outcome)
        assert_same_view(world, view, tick, memory)
        times_acted += tick.acting
        times_decided += tick.deciding
        assert_close("acted", memory.per_server["times_acted"], times_acted)
        assert_close("decided", memory.per_user["times_decided"], times_decided)
    return result

"""Nothing is lost and nothing comes from nowhere, with everything switched on at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.fast_cases import slow_but_for
from helpers.simulators.everything_on import NUM_TICKS, Run, run, scenario_of
from helpers.small_worlds import SERVERS, USERS, new_world
from hypothesis import given, settings
from hypothesis import strategies as st

from isma.evaluation import cell
from isma.planning.migration import move_between
from isma.policies import registry
from isma.simulator.params import build
from isma.simulator.rollout import run_chunk
from isma.simulator.state import NEVER
from isma.world import umi

KINDS = ("cold", "precopy", "few")
every_kind = pytest.mark.parametrize("kind", slow_but_for(["precopy"], [*KINDS[:2], "few"]))
seeds = st.integers(0, 2**31 - 1)
at_most = lambda most: st.just(0.0) | st.floats(1e-6, most)  # noqa: E731
numbers = st.fixed_dictionaries(
    {
        "mean_between_s": st.floats(1, 30),
        "mean_repair_s": st.floats(0.1, 6),
        "detection_s": at_most(2),
        "restart_s": at_most(1),
        "migration.downtime_s": at_most(1),
        "loss_ratio": at_most(0.9),
        "rate_bps": st.floats(3e8, 3e9),
        "bandwidth_hz": st.floats(1e6, 4e7),
    }
)
some_worlds = settings(deadline=None, max_examples=12)


@pytest.mark.slow
@every_kind
def test_these_worlds_are_eventful(kind: str) -> None:
    """Or what follows would be tested on nothing."""
    runs = [run(kind, seed) for seed in range(4)]
    happened = {
        "tasks": [r.outcome.completion_time_s > 0 for r in runs],
        "migrations": [r.migrated for r in runs],
        "failures": [~r.up for r in runs],
        "refuge": [r.turned for r in runs],
        "departures": [r.gone for r in runs],
        "downtime": [r.outcome.down_slots > 0 for r in runs],
        "local lines": [r.after.backlog.local_cycles > 0 for r in runs],
        "edge lines": [r.after.backlog.edge_cycles > 0 for r in runs],
        "idle CPUs": [r.settled & (r.after.backlog.edge_cycles == 0) for r in runs],
        "work dropped": [r.gone & (r.before.backlog.edge_cycles > 0) for r in runs],
        "bands shared": [r.after.placement.offload_ratio > 0 for r in runs],
    }
    if kind == "precopy":
        happened["moves called off"] = [
            (r.before.downtime.moves.arrival_tick != NEVER)
            & (r.after.downtime.moves.arrival_tick == NEVER)
            & ~r.arrived
            for r in runs
        ]
    assert all(np.any(some) for some in happened.values()), {
        what: int(np.sum(some)) for what, some in happened.items()
    }


@every_kind
@some_worlds
@given(seed=seeds, given_numbers=numbers)
def test_every_task_has_one_end(kind: str, seed: int, given_numbers: dict[str, float]) -> None:
    """As many times as tasks came: at the first slot and each interval after it, until the user left."""
    found = run(kind, seed, **given_numbers)
    time_s = found.outcome.completion_time_s
    came = ~np.isnan(found.slot_of_tasks)
    np.testing.assert_array_equal(~np.isnan(time_s), came)
    assert np.all(np.isfinite(time_s[came]) & (time_s[came] > 0))
    emission = jax.tree.map(lambda leaf: leaf[-1].astype(np.int64), found.after.emission)
    last_slot = np.minimum(emission.leave_slot, NUM_TICKS * found.slots)
    in_all = -(-np.maximum(last_slot - emission.first_slot, 0) // emission.interval_slots)
    np.testing.assert_array_equal(came.sum(axis=(0, 2)), in_all)


@every_kind
@settings(deadline=None, max_examples=4)
@given(seed=st.integers(0, 10**6))
def test_a_task_is_finished_or_counted_as_unfinished(kind: str, seed: int) -> None:
    """The times of a whole run, summed up here, against what a comparison counts."""
    scenario = scenario_of(kind)
    params, policy = build(scenario), registry.get("price")
    made = cell.run(scenario, params, policy, seed, lambda ticks: None)
    world_key, memory_key = jax.random.split(jax.random.key(seed))
    state = new_world(params, world_key)
    memory = policy.init(scenario, USERS, SERVERS, memory_key)
    parts = []
    for _ in range(2):  # As a comparison does: a hundred ticks at a time.
        state, memory, outcome = run_chunk(params, policy, state, memory, world_key, 100)
        parts.append(np.asarray(outcome.completion_time_s, float))
    time_s = np.concatenate(parts)[scenario.time.warmup_ticks :]
    emission = jax.tree.map(lambda leaf: np.asarray(leaf, np.int64), state.emission)
    finished = 0
    for user in range(USERS):
        taken_s = time_s[:, user].ravel()
        taken_s = taken_s[~np.isnan(taken_s)]
        first, interval = int(emission.first_slot[user]), int(emission.interval_slots[user])
        skipped = max(0, -(-(5000 - first) // interval))
        slot = first + interval * (skipped + np.arange(len(taken_s)))
        finished += int(np.sum(slot / 1000 + taken_s <= min(emission.leave_slot[user] / 1000, 20)))
        assert int(made.user_tasks[user]) == len(taken_s)
    assert finished + int(made.unfinished) == int(made.user_tasks.sum())


@every_kind
def test_there_are_tasks_of_both_sorts(kind: str) -> None:
    """In this world some finish and some do not; in others all may."""
    scenario = scenario_of(kind)
    made = cell.run(scenario, build(scenario), registry.get("price"), 0, lambda ticks: None)
    assert 0 < made.unfinished < made.user_tasks.sum()


@every_kind
@some_worlds
@given(seed=seeds, given_numbers=numbers)
def test_cycles_in_are_cycles_out(kind: str, seed: int, given_numbers: dict[str, float]) -> None:
    """Done, still in line, or dropped when the user left: task by task, from tick to tick."""
    found = run(kind, seed, **given_numbers)
    placement, requests = found.after.placement, found.after.requests
    ratio, speed_hz = placement.offload_ratio, share_hz(found)
    slot = found.slot_of_tasks
    came = (~np.isnan(slot)).sum(axis=2)
    up_slot = found.after.downtime.up_slot
    never_down = np.zeros_like(up_slot)
    arrived = 0.0
    for part, name, hz, up in (
        (1 - ratio, "local_cycles", requests.local_hz, never_down),
        (ratio, "edge_cycles", speed_hz, up_slot),
    ):
        work = part * requests.cycles
        before, after = (getattr(s.backlog, name) for s in (found.before, found.after))
        dropped = np.where(found.gone, before, 0)
        done, left = worked_off(found, before - dropped, work, hz, up)
        np.testing.assert_allclose(after, left, rtol=1e-9, atol=1)
        ledger = done.sum() + after[-1].sum() + dropped.sum()
        np.testing.assert_allclose((came * work).sum(), ledger, rtol=1e-9)
        arrived = arrived + came * work
    np.testing.assert_allclose(arrived, came * requests.cycles, rtol=1e-12)


def share_hz(found: Run) -> np.ndarray:
    """What each user's share gives it."""
    placement = found.after.placement
    return (
        np.take_along_axis(found.after.server_hz, placement.host, axis=1) * placement.granted_share
    )


def worked_off(
    found: Run, backlog: np.ndarray, work: np.ndarray, speed_hz: np.ndarray, up_slot: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What each user's CPU does in each tick, one task after the other, and what it leaves."""
    slot_s = float(found.params.tick_s) / found.slots
    done, left = np.zeros_like(backlog), backlog
    now = found.start_slot + np.zeros_like(backlog)
    tasks = [*np.moveaxis(found.slot_of_tasks, 2, 0), now + found.slots]
    for number, until in enumerate(tasks):
        comes = ~np.isnan(until)
        until = np.where(comes, until, now)
        running = np.maximum(until - np.maximum(now, up_slot), 0)
        part = np.minimum(left, speed_hz * running * slot_s)
        done, left, now = done + part, left - part, until
        if number < len(tasks) - 1:
            left = left + np.where(comes, work, 0)
    return done, left


@every_kind
@some_worlds
@given(seed=seeds, given_numbers=numbers)
def test_bits_in_are_bits_out(kind: str, seed: int, given_numbers: dict[str, float]) -> None:
    """What a user's antenna has sent is what it offloads; and its station's band is given out once.

    The time of an upload is told by its energy, E - κ (f^L)² (1 - η) f^r = p t^cw.
    """
    found = run(kind, seed, **given_numbers)
    requests, ratio = found.after.requests, found.after.placement.offload_ratio
    station, params = found.before.station, found.params
    stations = params.shape.num_stations
    computing_j = float(params.kappa_j_per_hz2) * requests.local_hz**2 * (1 - ratio)
    power_w = float(params.infrastructure.power_w)
    sending_j = found.outcome.energy_j - (computing_j * requests.cycles)[..., None]
    offloads = np.stack(
        [np.bincount(at, on, stations) for at, on in zip(station, ratio > 0, strict=True)]
    )
    band_hz = float(params.infrastructure.bandwidth_hz)
    own_hz = band_hz / np.maximum(np.take_along_axis(offloads, station, axis=1), 1)
    given_out = np.stack(
        [
            np.bincount(at, np.where(on, hz, 0), stations)
            for at, on, hz in zip(station, ratio > 0, own_hz, strict=True)
        ]
    )
    np.testing.assert_allclose(given_out, np.where(offloads > 0, band_hz, 0))
    noise_w = float(params.infrastructure.noise_w) * own_hz / band_hz
    snr = power_w * gain(found) / noise_w[..., None]
    sent_bits = sending_j / power_w * own_hz[..., None] * np.log2(1 + snr)
    came = ~np.isnan(found.slot_of_tasks)
    offloaded_bits = np.broadcast_to((ratio * requests.data_bits)[..., None], sent_bits.shape)
    np.testing.assert_allclose(sent_bits[came], offloaded_bits[came], rtol=1e-7, atol=1e-3)


def gain(found: Run) -> np.ndarray:
    """The channel of each task, where its user was at its slot."""
    before, params = found.before, found.params
    part = (found.slot_of_tasks - found.start_slot[..., None]) / found.slots
    here, ahead = (s.motion.position_m[:, :, None] for s in (before, found.after))
    position_m = here + (ahead - here) * part[..., None]
    offset_m = position_m - np.asarray(params.site_m)[before.station][:, :, None]
    least_m = float(params.min_distance_m)
    distance_m = np.maximum(np.hypot(offset_m[..., 0], offset_m[..., 1]), least_m)
    streets = params.streets
    with jax.enable_x64(True):
        apart_m = jnp.asarray(distance_m)
        sees = umi.has_sight(apart_m, jnp.asarray(before.fading.sight)[..., None])
        mean_db = umi.loss_db(apart_m, sees, streets.carrier_hz, streets.station_m, streets.user_m)
        sees, mean_db = np.asarray(sees), np.asarray(mean_db)
    std_db = np.where(sees, umi.SHADOW_STD_DB[1], umi.SHADOW_STD_DB[0])
    return 10 ** (-(mean_db + std_db * before.fading.shadow[..., None]) / 10)


@every_kind
@some_worlds
@given(seed=seeds, given_numbers=numbers)
def test_no_service_is_in_two_places(kind: str, seed: int, given_numbers: dict[str, float]) -> None:
    """It has one host, which changes only for a reason; elsewhere only what is reserved for its arrival."""
    found = run(kind, seed, **given_numbers)
    placement, moves = found.after.placement, found.after.downtime.moves
    load = sums(placement.host, placement.requested_share)
    if moves is not None:
        on_the_way = moves.arrival_tick != NEVER
        assert np.all(moves.target[on_the_way] != placement.host[on_the_way])
        assert np.all(moves.requested_share[~on_the_way] == 0)
        load = load + sums(moves.target, moves.requested_share)
        changed = placement.host != found.before.placement.host
        assert np.all((found.arrived | found.turned)[changed & found.settled])
        assert np.all(changed[found.arrived])
    np.testing.assert_allclose(placement.load, load, atol=1e-12)
    over = np.maximum(1, np.take_along_axis(load, placement.host, axis=1))
    np.testing.assert_allclose(placement.granted_share, placement.requested_share / over)
    assert np.all(sums(placement.host, placement.granted_share) <= 1 + 1e-12)
    assert not np.any(placement.requested_share[found.gone])
    np.testing.assert_array_equal(found.outcome.migrations, found.migrated.sum(axis=1))
    present = (found.after.emission.first_slot < found.start_slot + found.slots) & ~found.gone
    np.testing.assert_array_equal(found.outcome.present, present.sum(axis=1))


def sums(server: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Of each server, in each tick."""
    return np.stack([np.where(server == s, share, 0).sum(axis=1) for s in range(SERVERS)], axis=1)


@every_kind
@some_worlds
@given(seed=seeds, given_numbers=numbers)
def test_downtime_adds_up(kind: str, seed: int, given_numbers: dict[str, float]) -> None:
    """What services were stopped for is what they stood still, have yet to, or left behind.

    And each stop has its reason: a move, which stops a service for as long as it takes and no
    longer, or a host that is down.
    """
    found = run(kind, seed, **given_numbers)
    remaining = lambda state: np.maximum(state.downtime.up_slot - found.start_slot, 0)  # noqa: E731
    earlier, later = remaining(found.before), remaining(found.after)
    left_behind = np.where(found.gone, earlier, 0)
    stopped = later - (earlier - left_behind)
    stood = np.minimum(later, found.slots)
    np.testing.assert_array_equal(found.outcome.down_slots, stood.sum(axis=1))
    yet = (later - stood)[-1].sum()
    assert stopped.sum() == stood.sum() + yet + left_behind.sum() - earlier[0].sum()
    alone = found.after.outages.lost_tick != NEVER
    assert np.all(stopped >= 0)
    assert not np.any(stopped[~(found.migrated | found.turned | alone)])
    moved = found.migrated & ~found.turned & ~alone
    np.testing.assert_array_equal(stopped[moved], stop_slots(found)[moved])


def stop_slots(found: Run) -> np.ndarray:
    """For how many slots a move from the old to the new host stops each service."""
    infrastructure, requests = found.params.infrastructure, found.before.requests
    with jax.enable_x64(True):
        hops = infrastructure.between[found.before.placement.host, found.after.placement.host]
        move = move_between(
            infrastructure.migration,
            infrastructure.backhaul_rate_bps,
            *(
                jax.numpy.asarray(v)
                for v in (requests.state_bits, requests.downtime_per_hop_s, hops)
            ),
        )
    return np.round(np.asarray(move.stop_s) * found.slots / float(found.params.tick_s))

"""Experience of users: inputs, choices and outcomes as in a loop over ticks."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import untrained_policies
from helpers.small_worlds import SERVERS, USERS, drawn, new_world, tiny
from jaxtyping import Array, PRNGKeyArray

from isma.contract import Memory, Observation
from isma.model.situation import Asked
from isma.planning.action_grid import Choice
from isma.policies.learned.sequential import TakesTurns, Turns
from isma.simulator.params import build
from isma.simulator.state import State
from isma.simulator.step import deciding_now, step
from isma.training.user_experience import UserExperience, burden_s, collect_users, mean_of

KEY = jax.random.key(4)
STEPS = 5
TICKS = 121


class Wandering(TakesTurns):
    """Sends user i to server (i + its decisions so far) at ratio 0.6, and sees its own count."""

    def init(self, scenario, num_users: int, num_servers: int, key: PRNGKeyArray) -> Memory:
        return Memory(None, jnp.zeros((num_users, 1)))

    def nothing_seen(self, num_users: int, num_servers: int) -> Array:
        return jnp.zeros((num_users, 1))

    def decide(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Turns, Memory]:
        count = memory.per_user + observation.decides[:, None]
        users = jnp.arange(USERS, dtype=jnp.int32)
        choice = Choice(
            (users + count[:, 0].astype(jnp.int32)) % SERVERS,
            jnp.full(USERS, 6, jnp.int32),
            jnp.full(USERS, 4, jnp.int32),
        )
        return Turns(count, Asked.nothing(USERS, SERVERS), choice), Memory(None, count)


def experience_of_wanderers() -> UserExperience:
    return collect_users([tiny()], Wandering(), 1, STEPS + 1, KEY)


def test_experience_is_that_of_a_loop_over_ticks() -> None:
    """The same world tick by tick, with sums in NumPy between a user's decisions."""
    experience, policy = experience_of_wanderers(), Wandering()
    params = build(tiny())
    world_key, run_key, _ = jax.random.split(jax.random.split(KEY, 1)[0], 3)
    state, memory = new_world(params, world_key), policy.init(tiny(), USERS, SERVERS, KEY)
    advance, burden = eqx.filter_jit(step), eqx.filter_jit(burden_s)
    deciding = eqx.filter_jit(deciding_now)
    times, burdens, nobody = [], [], jnp.zeros(USERS, bool)
    decided: list[list[int]] = [[] for _ in range(USERS)]
    for tick in range(TICKS):
        for user in np.flatnonzero(deciding(params, state, nobody).decides):
            decided[user].append(tick)
        draws = drawn(params, run_key, state.tick)
        state, memory, outcome = advance(params, policy, state, memory, draws)
        times.append(np.asarray(outcome.completion_time_s, float))
        burdens.append(np.asarray(burden(params, state), float))
    np.testing.assert_allclose(experience.local_s, state.requests.deadline_s)
    assert not experience.known[:, STEPS].any(), "of the last decision nothing is known"
    for user in range(USERS):
        ticks = decided[user]
        assert len(ticks) > STEPS, "the world must run on past what is kept"
        for number in range(STEPS):
            assert float(experience.turns.view[user, number, 0]) == number + 1
            assert (
                int(experience.turns.choice.server[user, number]) == (user + number + 1) % SERVERS
            )
            took = np.stack(times[ticks[number] : ticks[number + 1]])[:, user]
            had = bool((~np.isnan(took)).any())
            assert bool(experience.known[user, number]) is had
            if had:
                assert float(experience.own_s[user, number]) == pytest.approx(
                    np.nanmean(took), rel=1e-4
                )
            meanwhile = np.mean(burdens[ticks[number] : ticks[number + 1]], axis=0)[user]
            assert float(experience.burden_s[user, number]) == pytest.approx(meanwhile, rel=1e-4)


def placed(host: list[int], ratio: list[float], request: list[float]) -> State:
    """A world of four users, served like that."""
    state = new_world(build(FOUR), KEY)
    load = np.bincount(host, request, SERVERS)
    placement = eqx.tree_at(
        lambda p: (p.host, p.offload_ratio, p.requested_share, p.granted_share, p.load),
        state.placement,
        (
            jnp.asarray(host, jnp.int32),
            *(jnp.asarray(ratio, float), jnp.asarray(request, float)),
            jnp.asarray(request) / np.maximum(load, 1)[host],
            jnp.asarray(load, float),
        ),
    )
    cycles = jnp.array([16e9, 32e9, 48e9, 64e9])
    return eqx.tree_at(
        lambda s: (s.requests.cycles, s.emission.first_slot, s.placement, s.tick),
        state,
        (cycles, jnp.zeros(4, jnp.int32), placement, jnp.asarray(1)),
    )


FOUR = tiny({"users.count": 4, "clock_hz": "16 GHz", "data_bits": 1})


def test_a_burden_by_hand() -> None:
    """Whole tasks of 1, 2, 3 and 4 s of work; load 1.4 on server 0, user 2 alone, nothing of user 3.

    Without user 0 the load would be 0.6: user 1 has 1 / 1.4 of its request, then all of it, and
    takes 2 / 0.6 · (1.4 - 1) = 1.333 s less. Without user 1 user 0 takes 1 / 0.8 · 0.4 = 0.5 s less.
    """
    found = burden_s(build(FOUR), placed([0, 0, 1, 0], [1, 1, 1, 0], [0.8, 0.6, 1.0, 0.0]))
    np.testing.assert_allclose(found, [2 / 0.6 * 0.4, 0.5, 0, 0], rtol=1e-4, atol=1e-6)


def test_a_user_that_waits_for_its_own_part_bears_no_burden() -> None:
    """At ratio 0.1 user 1 takes 0.9 · 213 s by itself, and 0.2 / 0.43 s on the server."""
    found = burden_s(build(FOUR), placed([0, 0, 1, 1], [1, 0.1, 1, 1], [0.8, 0.6, 0.3, 0.5]))
    # On server 1 requests sum to 0.8: nobody is in the other's way.
    np.testing.assert_allclose(found, [0, 0.1 / 0.1 * 1 / 0.8 * 0.4, 0, 0], rtol=1e-4, atol=1e-6)


def test_worlds_become_rows_and_points_are_taken_in_turn() -> None:
    points = [tiny({"local_hz": value}) for value in ("100 MHz", "350 MHz")]
    experience = collect_users(points, untrained_policies.drac(explores=True), 2, 4, KEY)
    assert experience.known.shape == (2 * USERS, 4)
    assert experience.turns.view.servers.shape == (2 * USERS, 4, SERVERS, 8)
    slow, fast = np.split(np.asarray(experience.local_s), 2)
    assert slow.max() <= 900
    assert slow.min() >= 60
    assert fast.max() <= 258
    assert float(jnp.mean(experience.known[:, :-1])) > 0.9
    assert not experience.known[:, -1].any()


def test_a_mean_leaves_out_what_is_unknown() -> None:
    each = jnp.array([[1.0, jnp.nan], [3.0, 100.0]])
    known = jnp.array([[True, False], [True, False]])
    assert float(mean_of(each, known)) == 2
    assert float(mean_of(each, jnp.zeros((2, 2), bool))) == 0


def test_a_round_shares_one_mean() -> None:
    """Two worlds of two users: 1 and 3 of one round have 2; an equal number elsewhere is another round.

    In the second step user 1's time is unknown: the round is user 0's alone.
    """
    experience = experience_of_wanderers()
    rows, steps = 4, 2
    cut = lambda leaf: leaf[:rows, :steps]  # noqa: E731
    known = jnp.array([[True, True], [True, False], [True, True], [True, True]])
    experience = eqx.tree_at(
        lambda one: (one.known, one.round, one.own_s),
        experience,
        (known, jnp.array([[5, 9], [5, 9], [5, 9], [6, 9]]), cut(experience.own_s)),
    )
    each = jnp.array([[1.0, 8.0], [3.0, 80.0], [10.0, 4.0], [20.0, 2.0]])
    found = experience.mean_of_round(each, num_worlds=2)
    np.testing.assert_allclose(found, [[2, 8], [2, 8], [10, 3], [20, 3]])


def test_a_round_is_one_servers_at_one_tick() -> None:
    experience = experience_of_wanderers()
    number = np.asarray(experience.round)
    tick, server = number // SERVERS, number % SERVERS
    assert np.all(np.diff(tick, axis=1) > 0)
    assert set(server.ravel()) <= set(range(SERVERS))
    # Its next round is that of the server to which a wanderer was sent.
    users = np.arange(USERS)[:, None]
    np.testing.assert_array_equal(server[:, 1:], (users + np.arange(1, server.shape[1])) % SERVERS)

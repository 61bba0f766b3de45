"""Experience from simulated worlds: what is written down is what servers saw, did and got."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.small_worlds import EVERYTHING, SERVERS, USERS, drawn, new_world, tiny
from jaxtyping import Array, Float, Int, PRNGKeyArray

from isma.contract import Action, Memory, Observation, Policy
from isma.errors import ScenarioError
from isma.model.elbo import Sequences
from isma.model.vectors import scales
from isma.simulator.params import build
from isma.simulator.step import step
from isma.training.exploration import RandomCode
from isma.training.record import spread, ticks_for
from isma.training.server_experience import collect_servers

KEY = jax.random.key(4)
STEPS = 5


class Fixed(Policy):
    """Everyone to one server each, with the same ratio and share for ever."""

    server: Int[Array, "users"]
    offload_ratio: Float[Array, "users"]

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        share = jnp.full((USERS,), 0.25)
        return Action(self.server, self.offload_ratio, share, jnp.zeros(SERVERS)), memory


LARGEST = 4.0


def found(policy: Policy, num_worlds: int = 1) -> Sequences:
    scenarios = [tiny()] * num_worlds
    return collect_servers(scenarios, policy, scales(scenarios), LARGEST, STEPS, KEY).sequences


def test_rewards_are_those_of_a_loop_over_ticks() -> None:
    """The same world tick by tick, with sums in NumPy between a server's decisions."""
    policy = Fixed(
        jnp.arange(USERS, dtype=jnp.int32) % SERVERS, jnp.linspace(0.2, 1, USERS).round(1)
    )
    collected = found(policy)
    params = build(tiny())
    _, first = jax.random.split(KEY)
    world_key, run_key = jax.random.split(jax.random.split(first, 1)[0])
    state, memory = new_world(params, world_key), Memory.none()
    advance = eqx.filter_jit(step)
    cycles = np.asarray(state.requests.cycles, float)
    local_s = cycles / np.asarray(state.requests.local_hz, float)
    times: list[np.ndarray] = []
    decided: list[list[tuple[int, np.ndarray]]] = [[] for _ in range(SERVERS)]
    for tick in range(int(ticks_for([tiny()], STEPS)[0])):
        born = np.asarray(state.emission.first_slot) < (tick + 1) * 100
        for server in range(SERVERS):
            if (tick - int(state.phase_ticks[server])) % 20 == 0:
                mine = born & (np.asarray(state.placement.host) == server)
                decided[server].append((tick, mine))
        state, memory, outcome = advance(
            params, policy, state, memory, drawn(params, run_key, state.tick)
        )
        times.append(np.asarray(outcome.completion_time_s, float))
    for server in range(SERVERS):
        for number in range(STEPS):
            (start, mine), (end, _) = decided[server][number : number + 2]
            took = np.stack(times[start:end])
            had = (~np.isnan(took)).any(axis=(0, 2)) & mine
            row = np.argsort(np.where(mine, -cycles, np.inf), kind="stable")
            at = lambda leaf, s=server, n=number: np.asarray(leaf[0, s, n])  # noqa: E731
            np.testing.assert_array_equal(at(collected.counted), had[row])
            means = np.array([np.nanmean(took[:, u]) if had[u] else np.nan for u in row])
            gain = np.log(local_s[row] / np.where(had[row], means, 1)) / LARGEST
            expected = np.where(had[row], np.maximum(0, gain), 0)
            np.testing.assert_allclose(at(collected.reward), expected, rtol=1e-3, atol=1e-5)
            np.testing.assert_array_equal(at(collected.observation)[:USERS] > 0, mine[row])
            ratio = np.where(mine[row], np.asarray(policy.offload_ratio)[row], 0)
            np.testing.assert_allclose(at(collected.action)[:USERS], ratio, atol=1e-6)


def test_random_experience_covers_good_and_bad() -> None:
    collected = found(RandomCode(), 24)
    known = np.asarray(collected.counted)
    reward = np.asarray(collected.reward)[known]
    # Crowds go where they are sent together: some servers are empty.
    assert known.any(axis=-1).mean() > 0.6
    assert reward.max() - reward.min() > 0.5
    assert np.all((collected.observation >= 0) & (collected.observation <= 1))
    assert np.all((collected.action >= 0) & (collected.action <= 1))


def test_worlds_take_the_points_in_turn() -> None:
    points = [tiny({"clock_hz": value}) for value in ("1 GHz", "2 GHz")]
    worlds = spread(points, 3)
    clocks = worlds.infrastructure.server_hz[:, 0]
    np.testing.assert_allclose(clocks, [1e9, 2e9, 1e9])
    for other in ({"users.count": 3}, {"migration.kind": "cold"}, {"failures.enabled": True}):
        with pytest.raises(ScenarioError, match="vary a number only"):
            spread([tiny(), tiny(other)], 2)


@pytest.mark.slow
def test_experience_is_collected_where_everything_is_on() -> None:
    """Servers that are down miss their periods; what they then decide is still told in order."""
    scenarios = [tiny(EVERYTHING)] * 8
    scale = scales(scenarios)
    collected = collect_servers(scenarios, RandomCode(), scale, LARGEST, STEPS, KEY).sequences
    written = np.asarray(collected.observation).any(axis=-1)  # F is above 0 wherever one decided.
    assert 0.5 < written.mean() < 1
    assert np.all(written[..., :-1] >= written[..., 1:])
    known = np.asarray(collected.counted)
    assert known.any()
    assert np.all(written[known.any(axis=-1)])
    reward = np.asarray(collected.reward)
    assert np.all(np.isfinite(reward))
    assert np.all(reward[~known] == 0)

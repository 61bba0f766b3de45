"""What must hold in any world, under any policy and any action."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.fast_cases import MOVERS, slow_but_for
from helpers.simulators.fixed_policy import some_action
from helpers.small_worlds import SERVERS, USERS, new_world, tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import PRNGKeyArray

from isma.contract import Action, Memory, Observation, Policy
from isma.policies import registry
from isma.simulator.params import Params, build
from isma.simulator.rollout import run_chunk
from isma.simulator.state import Draws, Placement, State, draw, reset
from isma.simulator.step import Deciding, TickOutcome, settle, step

NUM_TICKS = 60
PARAMS = build(tiny({"coverage_radius_m": 150}))
START = new_world(PARAMS, jax.random.key(0))
KEY = jax.random.key(1)
CALM = {"price": "price:spread=0"}
"""Policies with their dice put away: what they decide is then a matter of users, not of rows."""
DICE = {"random", "full-information"}
seeds = st.integers(0, 2**32 - 1)
every_policy = pytest.mark.parametrize("name", slow_but_for(MOVERS, registry.RULES))


@eqx.filter_jit
def follow(
    params: Params, policy: Policy, state: State, memory: Memory, draws: Draws
) -> tuple[State, TickOutcome]:
    """Every state and outcome of a run with its randomness given."""

    def one(carry: tuple, drawn: Draws) -> tuple[tuple, tuple]:
        state, memory, outcome = step(params, policy, *carry, drawn)
        return (state, memory), (state, outcome)

    return jax.lax.scan(one, (state, memory), draws)[1]


@eqx.filter_jit
def drawn(params: Params, key: PRNGKeyArray) -> Draws:
    return jax.vmap(draw, in_axes=(None, None, 0))(params, key, jnp.arange(NUM_TICKS))


DRAWS = drawn(PARAMS, KEY)


def run(name: str, state: State = START, draws: Draws = DRAWS) -> tuple[State, TickOutcome]:
    policy = registry.get(CALM.get(name, name))
    memory = policy.init(tiny(), USERS, SERVERS, jax.random.key(2))
    return follow(PARAMS, policy, state, memory, draws)


def granted_by_server(placement: Placement) -> np.ndarray:
    """Sum of the granted shares of each server, at every tick."""
    host, share = np.asarray(placement.host), np.asarray(placement.granted_share, float)
    return np.stack([np.where(host == s, share, 0).sum(axis=-1) for s in range(SERVERS)], axis=-1)


@every_policy
def test_shares_granted_fit_on_the_servers(name: str) -> None:
    states, outcome = run(name)
    placement = states.placement
    assert np.all(granted_by_server(placement) <= 1 + 1e-5)
    assert np.all(placement.granted_share <= placement.requested_share * (1 + 1e-6))
    over = np.asarray(placement.load) > 1 + 1e-5
    np.testing.assert_array_equal(outcome.overloaded, over.sum(axis=1))
    if name == "random":
        assert over.any(), "everyone asks for everything: some server must be overloaded"


@every_policy
def test_moves_are_counted(name: str) -> None:
    """A user that has emitted a task and changes its host has migrated; a station's change is a hand-over."""
    states, outcome = run(name)
    host = np.concatenate([np.asarray(START.placement.host)[None], states.placement.host])
    station = np.concatenate([np.asarray(START.station)[None], states.station])
    slots = np.arange(NUM_TICKS)[:, None] * int(PARAMS.slots_per_tick)
    settled = np.asarray(START.emission.first_slot) < slots
    migrated = (host[1:] != host[:-1]) & settled
    np.testing.assert_array_equal(outcome.migrations, migrated.sum(axis=1))
    np.testing.assert_array_equal(outcome.handovers, (station[1:] != station[:-1]).sum(axis=1))
    if name in ("local", "stay"):
        assert outcome.migrations.sum() == 0
    if name in ("random", "nearest"):
        assert outcome.migrations.sum() > 0


@pytest.mark.parametrize("name", slow_but_for(MOVERS, [n for n in registry.RULES if n not in DICE]))
def test_permuting_users_permutes_the_answer(name: str) -> None:
    order = np.random.default_rng(0).permutation(USERS)
    rows = lambda tree: jax.tree.map(lambda leaf: leaf[order], tree)  # noqa: E731
    users = lambda s: (s.requests, s.emission, s.motion, s.station)  # noqa: E731
    start = eqx.tree_at(users, START, rows(users(START)))
    start = eqx.tree_at(lambda s: s.placement.host, start, start.station)
    draws = eqx.tree_at(lambda d: d.turn, DRAWS, DRAWS.turn[:, order])
    (states, outcome), (others, permuted) = run(name), run(name, start, draws)
    np.testing.assert_array_equal(others.placement.host, states.placement.host[:, order])
    for one, other in (
        (outcome.completion_time_s, permuted.completion_time_s),
        (states.placement.granted_share, others.placement.granted_share),
    ):
        np.testing.assert_allclose(other, one[:, order], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(permuted.migrations, outcome.migrations)


@every_policy
def test_the_same_seed_gives_the_same_bytes(name: str) -> None:
    one, other = (
        run(name, new_world(PARAMS, jax.random.key(0)), drawn(PARAMS, KEY)) for _ in range(2)
    )
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def test_where_a_run_is_cut_is_no_matter() -> None:
    policy = some_action(np.random.default_rng(0))
    whole, _, _ = run_chunk(PARAMS, policy, START, Memory.none(), KEY, 40)
    half, memory, _ = run_chunk(PARAMS, policy, START, Memory.none(), KEY, 20)
    cut, _, _ = run_chunk(PARAMS, policy, half, memory, KEY, 20)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(cut), strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


wild = st.lists(
    st.one_of(st.floats(-5, 5), st.sampled_from([np.inf, -np.inf, 0.0, 1e30])),
    min_size=USERS,
    max_size=USERS,
)


@settings(deadline=None, max_examples=50)
@given(seeds, wild, wild)
def test_no_action_gets_more_than_there_is(
    seed: int, ratio: list[float], share: list[float]
) -> None:
    """Servers that do not exist, ratios and shares out of range, users that may not decide."""
    rng = np.random.default_rng(seed)
    flags = [jnp.asarray(rng.random(USERS) < 0.7) for _ in range(2)]
    action = Action(
        jnp.asarray(rng.integers(-3, 9, USERS), jnp.int32),
        *(jnp.asarray(value, jnp.float32) for value in (ratio, share)),
        jnp.zeros(SERVERS),
    )
    deciding = Deciding(*[jnp.ones(SERVERS, bool)] * 2, jnp.zeros(USERS, bool), flags[0])
    before = START.placement
    after = settled(PARAMS, before, action, deciding, flags[1])
    assert np.all(granted_by_server(after) <= 1 + 1e-5)
    assert np.all((after.host >= 0) & (after.host < SERVERS))
    assert np.all((after.offload_ratio >= 0) & (after.offload_ratio <= 1))
    kept = ~np.asarray(flags[0])
    np.testing.assert_array_equal(np.asarray(after.host)[kept], np.asarray(before.host)[kept])
    assert np.all(np.asarray(after.requested_share)[~np.asarray(flags[1])] == 0)


settled = eqx.filter_jit(settle)


@settings(deadline=None, max_examples=20)
@given(seeds, st.floats(1, 5), st.sampled_from(["server", "user", "share", "band", "backhaul"]))
def test_more_never_hurts_anybody(seed: int, factor: float, what: str) -> None:
    """Not one task of one user, be it more CPU, more share, more band or a faster backhaul."""
    rng = np.random.default_rng(seed)
    state, policy, params = new_world(PARAMS, jax.random.key(seed)), some_action(rng), PARAMS
    more_params, more_state, more_policy = params, state, policy
    grown = lambda where, tree: eqx.tree_at(where, tree, where(tree) * np.float32(factor))  # noqa: E731
    match what:
        case "server":
            more_params = grown(lambda p: p.infrastructure.server_hz, params)
        case "band":
            more_params = grown(lambda p: p.infrastructure.bandwidth_hz, params)
        case "backhaul":
            more_params = grown(lambda p: p.infrastructure.backhaul_rate_bps, params)
        case "user":
            more_state = grown(lambda s: s.requests.local_hz, state)
        case "share":
            more_policy = eqx.tree_at(lambda p: p.cpu_share, policy, policy.cpu_share * 2)
    now, more = (
        np.asarray(run_chunk(p, act, s, Memory.none(), KEY, 40)[2].completion_time_s)
        for p, act, s in ((params, policy, state), (more_params, more_policy, more_state))
    )
    emitted = ~np.isnan(now)
    np.testing.assert_array_equal(emitted, ~np.isnan(more))
    assert emitted.sum() > USERS
    assert np.all(more[emitted] <= now[emitted] * (1 + 1e-5))


def test_a_broken_action_makes_a_task_that_never_ends() -> None:
    """It must not pass for a task that was never there."""
    rng = np.random.default_rng(0)
    broken = eqx.tree_at(
        lambda p: p.cpu_share, some_action(rng), jnp.full(USERS, jnp.nan, jnp.float32)
    )
    sound, found = (
        np.asarray(run_chunk(PARAMS, act, START, Memory.none(), KEY, 40)[2].completion_time_s)
        for act in (some_action(rng), broken)
    )
    np.testing.assert_array_equal(np.isnan(found), np.isnan(sound))
    assert np.isinf(found[~np.isnan(found)]).any()


@pytest.mark.slow
def test_lost_and_late_news_is_no_trouble() -> None:
    """To the policy that reads all of it. It does so each time in test_conservation.py, with all else on."""
    scenario = tiny({"delay_s": 0.35, "loss_ratio": 0.6, "remaining": "literal"})
    params, policy = build(scenario), registry.get("price")
    state = new_world(params, jax.random.key(0))
    memory = policy.init(scenario, USERS, SERVERS, KEY)
    state, _, outcome = run_chunk(params, policy, state, memory, KEY, 100)
    time_s = np.asarray(outcome.completion_time_s)
    assert np.all(np.isfinite(time_s[~np.isnan(time_s)]))
    assert not np.isnan(time_s).all()
    assert len(np.unique(state.heard.sent_tick)) > 1, "listeners must have heard different things"


class Counting(Policy):
    """Notes every time that it is compiled."""

    traces: list[int] = eqx.field(static=True)

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        self.traces.append(1)
        return registry.get("local").act(memory, observation, key)


class Traces(list):
    """A list that is the same for the compiler, whatever is in it."""

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other


NUMBERS: list[dict[str, Any]] = [
    {"clock_hz": "3.19 GHz"},
    {"clock_hz": [1e9, 2e9, 3e9]},
    {"decision_period_s": 12},
    {"decision_period_s": [2, 3, 4]},
    {"speed_mps": "20 km/h", "turn_std_rad_per_sqrt_s": 0.5},
    {"bandwidth_hz": "5 MHz", "power_w": "10 dBm", "noise_w": "-90 dBm"},
    {"loss_at_1km_db": 120, "loss_per_decade_db": 30, "min_distance_m": 1},
    {"data_bits": ["1 KB", "9 MB"], "cycles": 6e9, "local_hz": [1e8, 1e9]},
    {"interval_s": [0.05, 3]},
    {"loss_ratio": 0.3},
    {"broadcast.period_s": 0.5, "delay_s": 0.3},
    {"rate_bps": "1 Gbit/s", "coverage_radius_m": 300},
    {"duration_s": 40, "warmup_s": 0},
]


def test_changing_a_number_compiles_nothing_again() -> None:
    first = {"loss_ratio": 0.1, "delay_s": 0.2}
    policy, compiled_reset = Counting(Traces()), jax.jit(lambda p, k: reset(p, k))

    def go(overrides: dict[str, Any]) -> None:
        params = build(tiny({**first, **overrides}))
        state = compiled_reset(params, KEY)
        for _ in range(2):
            state, _, _ = run_chunk(params, policy, state, Memory.none(), KEY, 10)

    go({})
    compiled = len(policy.traces)
    assert compiled > 0
    for overrides in NUMBERS:
        go(overrides)
        assert len(policy.traces) == compiled, overrides
        assert compiled_reset._cache_size() == 1, overrides  # pyright: ignore[reportAttributeAccessIssue]
    go({"users.count": USERS + 1})
    assert len(policy.traces) > compiled, "the count must see what is compiled"

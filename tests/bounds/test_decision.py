"""The dual bound: below the best there is, and not far below; the reference close above it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.exhaustive_search import assignments, some_offer
from helpers.small_worlds import new_world
from jaxtyping import Array, Float

from isma.bounds.decision import Bound, decision_bound, first_prices_s
from isma.contract import Memory, Observation
from isma.planning.allocation import Offer, offers
from isma.planning.assignment import assess
from isma.policies import registry
from isma.policies.rules.local_random import Local
from isma.simulator.params import build
from isma.simulator.rollout import run_chunk
from isma.simulator.step import everyone, observe
from isma.world.files import load
from isma.world.scenario import Visibility

USERS, SERVERS = 4, 2
EVERYONE = jnp.ones(USERS, bool)
REGIMES = {"slow users": (30.0, 300.0), "fast users": (3.0, 30.0), "fastest": (0.2, 2.0)}
bound_of = jax.jit(decision_bound, static_argnums=3)


def bound(offer: Offer, prices: Float[Array, "servers"], steps: int = 500) -> Bound:
    return bound_of(offer, EVERYONE, prices, steps)


@pytest.mark.parametrize("regime", REGIMES)
def test_never_above_the_best_and_close_below_it(regime: str) -> None:
    """With so few users one server cannot be shared out evenly, which no price can know."""
    gaps = []
    for seed in range(12):
        offer = some_offer(seed, USERS, SERVERS, REGIMES[regime])
        best = min(assignments(offer).values()) / USERS
        gaps.append(1 - float(bound(offer, first_prices_s(offer, EVERYONE)).mean_s) / best)
    assert min(gaps) >= -1e-5
    assert np.median(gaps) < 0.025
    assert max(gaps) < 0.12


def test_any_price_proves_a_bound() -> None:
    """Stopped at once, or from absurd prices: looser, never wrong."""
    rng = np.random.default_rng(0)
    for seed in range(12):
        offer = some_offer(seed, USERS, SERVERS, REGIMES["slow users"])
        best = min(assignments(offer).values()) / USERS
        prices = jnp.asarray(10 ** rng.uniform(-3, 5, SERVERS), jnp.float32)
        assert float(bound(offer, prices, 1).mean_s) <= best * (1 + 1e-5)


def test_by_hand() -> None:
    """Two alike on one server: t = τ + a / φ, with τ = 1, a = 4. Half each: 9 s for both.

    At the price (2 √4)² = 16 each costs 1 + 2 √(16 · 4) = 17; 2 · 17 - 16 = 18 s for both together.
    """
    offer = Offer(jnp.full((2, 1), 1e6), jnp.ones((2, 1)), jnp.full((2, 1), 4.0))
    found = decision_bound(offer, jnp.ones(2, bool), jnp.array([16.0]), 1)
    assert float(found.mean_s) == pytest.approx(9, rel=1e-5)


def test_users_that_do_not_count_are_left_out() -> None:
    offer = some_offer(5, USERS, SERVERS, REGIMES["slow users"])
    counted = jnp.array([True, False, True, False])
    alone = Offer(*(part[np.array([0, 2])] for part in jax.tree.leaves(offer)))
    best = min(assignments(alone).values()) / 2
    found = float(bound_of(offer, counted, first_prices_s(offer, counted), 500).mean_s)
    assert best * 0.9 < found <= best * (1 + 1e-5)


@pytest.fixture(scope="module")
def moments() -> list[Observation]:
    """Two moments of the paper's world, everybody visible, all servers deciding."""
    params = build(load("paper"))
    found = []
    for seed in range(2):
        key = jax.random.key(seed)
        state, _, _ = run_chunk(params, Local(), new_world(params, key), Memory.none(), key, 50)
        found.append(look(params, state))
    return found


look = eqx.filter_jit(lambda p, state: observe(p, state, everyone(p, state), Visibility.FULL))


@pytest.mark.slow
def test_the_reference_is_near_the_bound(moments: list[Observation]) -> None:
    """Full information, after some decisions on the same moment, is at most 1.5 % above."""
    policy = registry.get("full-information")
    act = eqx.filter_jit(lambda memory, seen, key: policy.act(memory, seen, key))
    for moment in moments:
        memory = policy.init(load("paper"), 40, 6, jax.random.key(0))
        for turn in range(10):
            action, memory = act(memory, moment, jax.random.key(turn))
        offer = eqx.filter_jit(lambda seen: offers(seen).of())(moment)
        reached = eqx.filter_jit(assess)(offer, action.server, moment.visible).time_s
        counted = moment.visible
        mean_s = float(jnp.sum(jnp.where(counted, reached, 0)) / counted.sum())
        lowest = bound_of(offer, counted, first_prices_s(offer, counted), 500)
        assert float(lowest.mean_s) * (1 - 1e-5) <= mean_s <= float(lowest.mean_s) * 1.015

"""Large cities: what is looked at there decides as the tables of all do, where both can."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.fast_cases import slow_but_for
from hypothesis import given, settings
from hypothesis import strategies as st

from isma.contract import Action, Observation
from isma.errors import PolicyError
from isma.planning.allocation import at, of_places, offers, split
from isma.planning.migration import charge_s, delay_s2
from isma.planning.segment_sums import Pools
from isma.planning.shortlist import by_number, foremost, rows_of, split_again
from isma.policies import defaults, registry
from isma.policies.shared import refuse_large
from isma.simulator.params import build
from isma.simulator.rollout import run_chunk
from isma.simulator.state import reset
from isma.simulator.step import everyone, observe
from isma.world import files
from isma.world.nearby import nearest_servers
from isma.world.servers import network

SETS = {"servers.clock_range_hz": ["5 GHz", "20 GHz"], "latency.per_hop_s": 0.02}
KEY = jax.random.key(3)
PLAN = "isma2, ties and turns aside"
MOVERS = ("price:spread=0:rivals=1e9:shortlist=40", PLAN, "greedy", "nearest")
listed = jax.jit(foremost, static_argnums=2)


@pytest.fixture(scope="module")
def observed() -> Observation:
    """A crowded moment of paper-migration, in which `stay` has let users go far."""
    scenario = files.load("paper-migration", SETS)
    params, policy = build(scenario), registry.get("stay")
    state, memory = jax.jit(reset)(params, KEY), policy.init(scenario, 40, 6, KEY)
    state, _, _ = run_chunk(params, policy, state, memory, KEY, 400)
    return observe(params, state, everyone(params, state), params.shape.visibility)


def listing_all(observation: Observation) -> Observation:
    """The same where a table of near servers holds all of them."""
    laid = network(files.load("paper-migration"))
    near = jnp.asarray(nearest_servers(laid, 6))
    return replace(observation, infrastructure=replace(observation.infrastructure, near=near))


def decided(rule: str, observation: Observation) -> Action:
    """Once it has heard what servers are usually like."""
    policy = registry.get("isma2" if rule == PLAN else rule)
    if rule == PLAN:
        policy = replace(policy, spread=0.0, rivals=1e9, shortlist=40)
    memory = policy.init(files.load("paper-migration"), 40, 6, KEY)
    act = eqx.filter_jit(policy.act)
    for passed_slots, price in enumerate((0.5, 2.0, 1.0)):
        price_s = price * observation.news.price_s
        news = replace(observation.news, price_s=price_s.at[:, 2].mul(4))
        before = replace(observation, news=news, slot=observation.slot + 20_000 * passed_slots)
        memory = act(memory, before, KEY)[1]
    later = replace(observation, slot=observation.slot + 60_000)
    return act(memory, later, KEY)[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "rule",
    slow_but_for(
        ["price:spread=0:rivals=1e9:shortlist=40", PLAN, "greedy"],
        [
            "price:spread=0:rivals=1e9:shortlist=40",
            PLAN,
            "greedy",
            "nearest",
            "stay",
            "threshold",
            "break-even",
        ],
    ),
)
def test_with_all_servers_near_it_decides_the_same(rule: str, observed: Observation) -> None:
    table, asked = decided(rule, observed), decided(rule, listing_all(observed))
    np.testing.assert_array_equal(asked.server, table.server)
    np.testing.assert_array_equal(asked.offload_ratio, table.offload_ratio)
    np.testing.assert_allclose(asked.cpu_share, table.cpu_share, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(asked.price_s, table.price_s, rtol=1e-3, atol=1e-6)
    if rule in MOVERS:
        assert (table.server != observed.host).sum() > 1, "else there would be nothing to differ in"


def test_what_is_asked_for_is_what_the_table_says(observed: Observation) -> None:
    server = jax.random.randint(KEY, (40, 3), 0, 6)
    some, every = offers(observed), offers(observed).of()
    asked, table = some.of(server), of_places(every, server)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), asked, table)
    one, row = some.at(server[:, 0]), at(every, server[:, 0])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), one, row)
    lasts_s = jnp.full((40, 1), 30.0)
    for some, every in (
        (delay_s2(observed, server), delay_s2(observed)),
        (charge_s(observed, lasts_s, server), charge_s(observed, lasts_s)),
    ):
        assert some is not None
        assert every is not None
        np.testing.assert_allclose(some, jnp.take_along_axis(every, server, 1), rtol=1e-5)


@pytest.mark.parametrize("left", [[2], [0, 1, 2, 3], list(range(30))])
def test_only_what_users_leave_is_split_again(left: list[int], observed: Observation) -> None:
    """Few by themselves, and many with all the others."""
    offer = offers(observed).at(observed.host)
    home = Pools(observed.pool(observed.host), observed.num_pools)
    target = observed.host.at[jnp.array(left)].set((observed.host[jnp.array(left)] + 1) % 6)
    pools = Pools(observed.pool(target), observed.num_pools)
    found, gone = jax.jit(split_again)(split(offer, home), offer, home, pools)
    whole, inside = split(offer, pools), pools.pool < 6
    for name in ("offload_ratio", "cpu_share", "time_s"):
        new, old = getattr(found, name)[inside], getattr(whole, name)[inside]
        np.testing.assert_allclose(new, old, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.price_s, whole.price_s, rtol=1e-3)
    assert np.all(np.isfinite(np.asarray(gone.time_s)))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([1, 3, 60]))
def test_the_shortlist_holds_the_best_of_each_pool(seed: int, number: int) -> None:
    """All where they fit. Else as many as can be told apart, and none that is better is left out."""
    rng, users, pools = np.random.default_rng(seed), 50, 4
    pool, value = rng.integers(0, pools + 1, users), rng.uniform(-1, 1, users)
    found = listed(Pools(jnp.asarray(pool), pools), jnp.asarray(value), number)
    row = np.flatnonzero(found)
    for one in range(pools):
        inside = np.flatnonzero((pool == one) & (value > 0))
        kept = np.intersect1d(row, inside)
        assert len(kept) <= number
        if len(inside) <= number:
            assert len(kept) == len(inside)
        others = np.setdiff1d(inside, kept)
        if len(kept) and len(others):
            assert value[kept].min() >= value[others].max()
    assert not np.isin(row, np.flatnonzero((pool == pools) | (value <= 0))).any()


def test_no_more_rows_are_looked_at_than_are_needed() -> None:
    def of(number: int) -> int:
        return int(by_number(jnp.arange(9) < number, [2, 4, 9], lambda size: jnp.array(size)))

    assert [of(number) for number in (0, 2, 3, 4, 5, 9)] == [2, 2, 4, 4, 9, 9]


def test_rows_beyond_the_size_are_left_out() -> None:
    chosen = jnp.array([False, True, True, False, True])
    assert rows_of(chosen, 2).tolist() == [1, 2]
    assert rows_of(chosen, 4).tolist() == [1, 2, 4, 5]


def test_tables_of_all_are_refused_where_they_would_be_too_large() -> None:
    with pytest.raises(PolicyError, match="mdp looks at every server for every user"):
        refuse_large("mdp", 100_000, 1_000)
    assert "full-information" not in defaults.default_for(files.load("metropolis"))
    assert defaults.default_for(files.load("paper")) == defaults.DEFAULT
    assert set(defaults.default_for(files.load("highway"))) - set(defaults.DEFAULT) == {"isma2"}

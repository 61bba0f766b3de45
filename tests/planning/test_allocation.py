"""Shares and ratios against the best there are, and formulas against what they claim."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.exhaustive_search import (
    assignments,
    best_shares,
    one_server,
    parts,
    some_offer,
    times_s,
)
from helpers.small_worlds import line, network, seen
from hypothesis import given, settings
from hypothesis import strategies as st

from isma.contract import HopLatency
from isma.planning.allocation import (
    RATIOS,
    Offer,
    best_ratio,
    completion_s,
    joining,
    offers,
    respond,
    split,
)
from isma.planning.assignment import assess
from isma.planning.segment_sums import Pools

PAPER, FAST_USERS = (30.0, 300.0), (3.0, 30.0)
"""How long a task takes a user by itself: as in the paper, and about as long as on a server."""

priced = jax.jit(respond)
assessed = jax.jit(assess)
shared = jax.jit(lambda offer: split(offer, Pools(jnp.zeros(offer.local_s.shape, jnp.int32), 1)))
soonest = jax.jit(best_ratio)
joined = jax.jit(joining)
EVERYONE = jnp.ones(4, bool)
seeds = st.integers(0, 2**32 - 1)
LATENCIES = [None, (0.02, 0.5), (1.0, 5.0)]
"""None, and some that is small and large beside what a task takes."""
latencies = st.sampled_from(LATENCIES)
Range = tuple[float, float]


def of_users(local_s: list[float], transfer_s: list[float], work_s: list[float]) -> Offer:
    return Offer(jnp.array(local_s), jnp.array(transfer_s), jnp.array(work_s))


def test_offers_by_hand() -> None:
    """1 Mbit at 1 Mbit/s takes 1 s by radio and 1 s a hop; 2e9 cycles take 2 s or 1 s."""
    net = network([1e9, 2e9, 1e9], line(3))
    offer = offers(
        seen(net, host=[0, 0], station=[0, 2], data_mbit=[1, 3], work_s=2, local_s=50)
    ).of()
    np.testing.assert_allclose(offer.local_s[:2], [[50], [50]], rtol=1e-5)
    np.testing.assert_allclose(offer.transfer_s[:2], [[1, 2, 3], [9, 6, 3]], rtol=1e-5)
    np.testing.assert_allclose(offer.work_s[:2], [[2, 1, 2], [2, 1, 2]], rtol=1e-5)


def test_offers_with_latency_by_hand() -> None:
    """0.1 s for any task and 0.5 s a hop: the user at station 0 of three in a row."""
    latency = HopLatency(jnp.asarray(0.1), jnp.asarray(0.5))
    net = eqx.tree_at(
        lambda n: n.latency, network([1e9] * 3, line(3)), latency, is_leaf=lambda x: x is None
    )
    offer = offers(seen(net, host=[2], station=[0])).of()
    np.testing.assert_allclose(offer.fixed_s[0], [0.1, 0.6, 1.1], rtol=1e-5)
    np.testing.assert_allclose(offer.transfer_s[0], [1, 2, 3], rtol=1e-5)


def test_latency_decides_how_much_is_worth_offloading() -> None:
    """10 s alone, no transfer, 1 s of work on a server of its own, and 5.5 s of latency.

    η = 0.3: local 7, edge 5.5 + 0.3; η = 0.4: 6 and 5.9; η = 0.5: 5 and 6. So 0.4, which takes 6 s
    with the share that brings the edge down to it, 0.4 / (6 - 5.5) = 0.8.
    """
    offer = Offer(jnp.array([10.0]), jnp.array([0.0]), jnp.array([1.0]), jnp.array([5.5]))
    found = shared(offer)
    np.testing.assert_allclose(found.offload_ratio, [0.4], rtol=1e-5)
    np.testing.assert_allclose(found.cpu_share, [0.8], rtol=1e-3)
    np.testing.assert_allclose(found.time_s, [6], rtol=1e-4)


def test_shares_by_hand() -> None:
    """Works of 1 s and 4 s, transfers of 1 s, users too slow to do anything themselves.

    Shares go as √a: 1/3 and 2/3; times 1 + 1 / (1/3) = 4 and 1 + 4 / (2/3) = 7; the price is
    (√1 + √4)² = 9 s.
    """
    best = shared(of_users([1e6, 1e6], [1.0, 1.0], [1.0, 4.0]))
    np.testing.assert_allclose(best.offload_ratio, [1, 1])
    np.testing.assert_allclose(best.cpu_share, [1 / 3, 2 / 3], rtol=1e-3)
    np.testing.assert_allclose(best.time_s, [4, 7], rtol=1e-3)
    np.testing.assert_allclose(best.price_s, [9], rtol=2e-3)


def test_a_capped_user_leaves_the_rest_to_others() -> None:
    """The first: 10 s by itself, 0.5 s of transfer, 0.5 s of work; the second: all at the edge, 8 s of work.

    With η = 0.9 the first's local part takes 1 s, and so does its edge part with a share of
    0.45 / (1 - 0.45) = 9/11. At price λ the second asks for √(8 / λ) and costs 8 / φ.
    With η = 0.8 (2 s) a share of 0.4 / (2 - 0.4) = 1/4 is enough: 2 + 8 / (3/4) = 12.667 s.
    With η = 0.7 (3 s): 0.35 / 2.65 = 0.13208, 3 + 8 / 0.86792 = 12.217 s.
    With η = 0.6 (4 s): 0.3 / 3.7 = 0.08108, 4 + 8 / 0.91892 = 12.706 s. So η = 0.7 is best.
    """
    found = shared(of_users([10.0, 1e6], [0.5, 0.0], [0.5, 8.0]))
    np.testing.assert_allclose(found.offload_ratio, [0.7, 1], rtol=1e-5)
    np.testing.assert_allclose(found.cpu_share, [0.13208, 0.86792], rtol=1e-3)
    np.testing.assert_allclose(found.time_s, [3, 9.2174], rtol=1e-3)


def test_who_gains_nothing_by_a_server_stays_local() -> None:
    hopeless = shared(of_users([10.0], [100.0], [100.0]))
    np.testing.assert_array_equal([hopeless.offload_ratio[0], hopeless.cpu_share[0]], [0, 0])
    assert float(hopeless.time_s[0]) == pytest.approx(10)


def test_the_exhaustive_search_itself() -> None:
    """Its shares against a fine grid of them, for two users and every pair of ratios."""
    local, transfer, work = np.array([5.0, 9.0]), np.array([0.5, 1.0]), np.array([1.0, 3.0])
    ratio = np.array([(a / 10, b / 10) for a in range(11) for b in range(11)])
    exact = times_s(ratio, best_shares(ratio, local, transfer, work), local, transfer, work)
    first = np.linspace(1e-4, 1 - 1e-4, 4001)
    grid = np.stack([first, 1 - first], axis=1)
    for row, best in zip(ratio, exact.sum(axis=1), strict=True):
        tried = times_s(np.broadcast_to(row, grid.shape), grid, local, transfer, work).sum(axis=1)
        assert best <= tried.min() * (1 + 1e-9)
        assert tried.min() == pytest.approx(best, rel=2e-3)


@settings(deadline=None, max_examples=40)
@given(seeds, st.sampled_from([PAPER, FAST_USERS, (0.2, 2.0)]), st.floats(0, 200), latencies)
def test_the_response_is_the_cheapest_there_is(
    seed: int, local_s: Range, price: float, fixed_s: Range | None
) -> None:
    """Against every ratio and a fine grid of shares."""
    offer = some_offer(seed, 4, 2, local_s, fixed_s)
    found = priced(offer, jnp.full((1, 2), price, jnp.float32))
    local, transfer, work, fixed = (part[..., None] for part in parts(offer))
    share = np.geomspace(1e-4, 1, 300)
    cost = np.broadcast_to(local[..., 0], (4, 2))
    for ratio in RATIOS[1:]:
        time = np.maximum((1 - ratio) * local, fixed + ratio * transfer + ratio * work / share)
        cost = np.minimum(cost, (time + price * share).min(axis=-1))
    assert np.all(found.cost_s <= cost * (1 + 1e-5))
    ratio, share = np.asarray(found.offload_ratio), np.asarray(found.cpu_share, float)
    time = times_s(ratio, share, local[..., 0], transfer[..., 0], work[..., 0], fixed[..., 0])
    np.testing.assert_allclose(found.time_s, time, rtol=1e-4)
    np.testing.assert_allclose(found.cost_s, time + price * share, rtol=1e-4)
    assert np.all((share >= 0) & (share <= 1))


@settings(deadline=None, max_examples=40)
@given(seeds, st.floats(0.001, 1), st.floats(1, 3), latencies)
def test_more_share_never_hurts(
    seed: int, share: float, factor: float, fixed_s: Range | None
) -> None:
    offer = some_offer(seed, 4, 2, FAST_USERS, fixed_s)
    now, more = (
        soonest(offer, jnp.full((4, 2), min(1.0, given), jnp.float32))
        for given in (share, share * factor)
    )
    assert np.all(more.time_s <= now.time_s * (1 + 1e-6))
    assert np.all(now.time_s <= offer.local_s * (1 + 1e-6)), "nobody is worse off than alone"
    for ratio in RATIOS[1:]:
        time_s = completion_s(offer, ratio, jnp.full((4, 2), share, jnp.float32))
        assert np.all(now.time_s <= time_s * (1 + 1e-5))


@pytest.mark.parametrize("fixed_s", LATENCIES)
@pytest.mark.parametrize(
    ("local_s", "mean", "worst"), [(PAPER, 0.006, 0.1), (FAST_USERS, 0.05, 0.2)]
)
def test_a_split_is_nearly_the_best(
    local_s: Range, mean: float, worst: float, fixed_s: Range | None
) -> None:
    """Ratios that no single price supports can be better; for a few users who are fast, by much."""
    above = []
    for seed in range(8):
        offer = some_offer(seed, 4, 2, local_s, fixed_s)
        for target, best_s in assignments(offer).items():
            found = assessed(offer, jnp.array(target, jnp.int32), EVERYONE)
            above.append(float(found.time_s.sum()) / best_s - 1)
    assert min(above) > -1e-5, "better than the best: shares that do not fit, or wrong times"
    assert np.mean(above) < mean
    assert max(above) < worst


@settings(deadline=None, max_examples=40)
@given(seeds, st.sampled_from([PAPER, FAST_USERS, (0.1, 1.0)]), latencies)
def test_shares_fit_and_nothing_is_wasted(seed: int, local_s: Range, fixed_s: Range | None) -> None:
    """Whatever is left of a server would be of no use to any of its users."""
    offer = some_offer(seed, 4, 2, local_s, fixed_s)
    target = np.random.default_rng(seed).integers(0, 2, 4)
    found = assessed(offer, jnp.asarray(target, jnp.int32), EVERYONE)
    ratio, share = np.asarray(found.offload_ratio), np.asarray(found.cpu_share, float)
    used = np.bincount(target, share, 2)
    assert np.all(used <= 1 + 1e-5)
    assert np.all(share[ratio == 0] == 0)
    local, transfer, work, fixed = parts(offer)
    user = np.arange(4)
    edge = np.where(ratio > 0, fixed[user, target], 0) + ratio * transfer[user, target]
    edge += np.divide(ratio * work[user, target], share, out=np.zeros(4), where=ratio > 0)
    np.testing.assert_allclose(found.time_s, np.maximum((1 - ratio) * local[:, 0], edge), rtol=1e-4)
    idle = used[target] < 1 - 1e-3
    assert np.all(edge[idle] <= (1 - ratio[idle]) * local[idle, 0] * (1 + 1e-3) + 1e-6)
    assert np.all(found.time_s <= local[:, 0] * (1 + 1e-5))


@settings(deadline=None, max_examples=30)
@given(seeds, st.floats(1.05, 4))
def test_faster_servers_never_hurt(seed: int, factor: float) -> None:
    """The exact optimum falls; the split follows it up to its own distance."""
    offer = some_offer(seed, 4, 2, PAPER)
    faster = Offer(offer.local_s, offer.transfer_s, offer.work_s / factor)
    target = jnp.asarray(np.random.default_rng(seed).integers(0, 2, 4), jnp.int32)
    now, then = (float(assessed(each, target, EVERYONE).time_s.sum()) for each in (offer, faster))
    assert then <= now * 1.1


def test_users_that_do_not_count_take_nothing() -> None:
    offer, target = some_offer(1, 4, 2, PAPER), jnp.zeros(4, jnp.int32)
    found = assessed(offer, target, jnp.array([True, False, True, False]))
    rows = np.array([0, 2])
    local, transfer, work, _ = parts(offer)
    best = one_server(local[rows, 0], transfer[rows, 0], work[rows, 0])
    assert float(found.time_s[rows].sum()) == pytest.approx(best.total_s, rel=0.02)
    assert float(found.cpu_share[rows].sum()) == pytest.approx(1, abs=1e-3)


@settings(deadline=None, max_examples=40)
@given(seeds, st.integers(0, 3), latencies)
def test_joining_costs_what_everybody_loses(seed: int, others: int, fixed_s: Range | None) -> None:
    """While nobody is capped: the exact difference of two splits, be the server idle or crowded."""
    offer = some_offer(seed, 4, 2, (1e7, 1e7), fixed_s)
    there = jnp.zeros(4, jnp.int32)
    before, after = (
        assessed(offer, there, jnp.arange(4) < count) for count in (others, others + 1)
    )
    counted = np.arange(4) < others
    lost = float(after.time_s[: others + 1].sum()) - float(before.time_s[counted].sum())
    price = np.sqrt(np.asarray(offer.work_s, float)[counted, 0]).sum() ** 2
    found = joined(offer, jnp.full((1, 2), price, jnp.float32))
    assert float(found.offload_ratio[others, 0]) == pytest.approx(1)
    assert float(found.cost_s[others, 0]) == pytest.approx(lost, rel=1e-3)
    assert float(found.cpu_share[others, 0]) == pytest.approx(
        float(after.cpu_share[others]), rel=1e-3
    )
    if others:
        assert float(before.price_s[0]) == pytest.approx(price, rel=2e-3)

"""The distance between a user's station and its host as a Markov chain, and when to shorten it.

Where some stations have no server of their own, a distance is the excess over that to the nearest server:
the hops that a move can save.

Wang et al., *Dynamic Service Migration in Mobile Edge Computing Based on Markov Decision Process*,
IEEE/ACM Transactions on Networking 27(3), 2019: the state is the distance alone, an action says how
much of it is left after a migration, and value iteration finds the best one.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from isma.contract import MigrationCost
from isma.planning.migration import move_between
from isma.world.mobility import NOWHERE

_LAGS = 40
"""How many ages of a host are counted, from one sample to all, evenly in their logarithm."""
_MOST_ITERATIONS = 100_000
_TOLERANCE = 1e-6


def transitions(
    station: Int[np.ndarray, "samples users"], hops: Int[np.ndarray, "stations servers"]
) -> Float[np.ndarray, "distances distances"]:
    """How likely a distance (row) is to become another (column) from one sample to the next.

    Counted for hosts that were nearest to the user some samples ago, from none to all: users leave
    their services behind them, and seldom to the side of their path. A distance that no sample
    visits is absorbing.
    """
    beyond = hops - hops.min(axis=1, keepdims=True)
    nearest = hops.argmin(axis=1)
    distances, samples = int(beyond.max()) + 1, len(station)
    counts = np.zeros(distances * distances)
    lags = np.unique(np.r_[0, np.geomspace(1, max(samples - 2, 1), _LAGS).astype(int)])
    for lag in lags[lags <= samples - 2]:
        then, before, after = station[: samples - 1 - lag], station[lag:-1], station[lag + 1 :]
        known = (then != NOWHERE) & (before != NOWHERE) & (after != NOWHERE)
        host, before, after = nearest[then[known]], before[known], after[known]
        pair = beyond[before, host] * distances + beyond[after, host]
        counts += np.bincount(pair, minlength=len(counts))
    return as_chances(counts.reshape(distances, distances))


def as_chances(counts: Float[np.ndarray, "states states"]) -> Float[np.ndarray, "states states"]:
    """How likely each state (column) follows another (row); one that was never met is absorbing."""
    met = counts.sum(axis=1, keepdims=True)
    return np.where(met > 0, counts / np.maximum(met, 1), np.eye(len(counts)))


def relative_delay(
    cost: MigrationCost,
    rate_bps: float,
    state_bits: float,
    downtime_per_hop_s: float,
    distances: int,
) -> Float[Array, "distances"]:
    """Delay that moving over 0, 1, 2, ... hops adds, relative to that of one hop: (D_n / D_1)²."""
    hops = jnp.arange(distances, dtype=float)
    rate, bits, per_hop_s = map(jnp.asarray, (rate_bps, state_bits, downtime_per_hop_s))
    stop_s = move_between(cost, rate, bits, per_hop_s, hops).stop_s
    one_s = stop_s[min(1, distances - 1)]
    relative = jnp.where(one_s > 0, stop_s / jnp.where(one_s > 0, one_s, 1), hops)
    return jnp.where(hops > 0, relative**2, 0)


@jax.jit
def best_distances(
    payback_s: Float[Array, "levels"],
    relative: Float[Array, "distances"],
    chances: Float[Array, "distances distances"],
    period_s: Float[Array, ""],
    horizon_s: Float[Array, ""],
) -> Int[Array, "levels distances"]:
    """How many hops to leave between user and host, at each distance; value iteration.

    A user pays 1 for each second and hop, and `payback_s` times `relative` for a move over some
    hops: time is counted in seconds of one hop. The future is discounted by 1 - period / horizon a
    period. No service moves away from its user, and one that gains nothing stays.
    """
    places = jnp.arange(relative.shape[0])
    over = places[:, None] - places
    price = payback_s[:, None, None] * relative[jnp.maximum(over, 0)]
    now = jnp.where(over >= 0, price + period_s * places, jnp.inf)
    discount = jnp.maximum(1 - period_s / horizon_s, 0)

    def values(value: Float[Array, "levels distances"]) -> Float[Array, "levels from to"]:
        return now + discount * (value @ chances.T)[:, None, :]

    def improve(so_far: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        value, _, number = so_far
        better = jnp.min(values(value), axis=2)
        return better, jnp.max(jnp.abs(better - value), axis=1), number + 1

    def unsettled(so_far: tuple[Array, Array, Array]) -> Array:
        value, change, number = so_far
        least = _TOLERANCE * (period_s + jnp.max(value, axis=1))
        return jnp.any(change > least) & (number < _MOST_ITERATIONS)

    first = jnp.zeros((payback_s.shape[0], relative.shape[0]))
    start = (first, jnp.full_like(payback_s, jnp.inf), jnp.zeros((), jnp.int32))
    value, _, _ = jax.lax.while_loop(unsettled, improve, start)
    # The largest of equals: argmin takes the first.
    return relative.shape[0] - 1 - jnp.argmin(values(value)[..., ::-1], axis=2)

"""Where a service should be as its user goes from cell to cell: value iteration over station and host.

The state is the user's station and the server of its service; stations follow one another as counted
in recorded walks. It foresees what a distance alone cannot (isma.planning.distance): the direction in
which users go on.
"""

from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from isma.planning.distance import as_chances
from isma.world.mobility import NOWHERE

_EVERY_TARGET = 16
"""Servers up to which a service may move to any; beyond, to the near ones and those in between."""
_NEAR = 8
_STRIDES = (1, 2, 3)
_MOST_ITERATIONS = 2000
_TOLERANCE = 1e-3


def station_chances(
    station: Int[np.ndarray, "samples users"], num_stations: int
) -> Float[np.ndarray, "stations stations"]:
    """How likely a station (column) follows another (row) from one sample to the next.

    A station that no sample visits keeps its users.
    """
    counts = np.zeros(num_stations * num_stations)
    if len(station) > 1:
        before, after = station[:-1], station[1:]
        known = (before != NOWHERE) & (after != NOWHERE)
        pair = before[known] * num_stations + after[known]
        counts += np.bincount(pair, minlength=len(counts))
    return as_chances(counts.reshape(num_stations, num_stations))


def targets(
    hops: Int[np.ndarray, "stations servers"], home: Int[np.ndarray, "servers"]
) -> Int[np.ndarray, "stations hosts targets"]:
    """Where a service may go from a host (column) when its user is at a station (row).

    The host itself comes first; `home` is the station of each server.
    """
    stations, servers = hops.shape
    stay = np.broadcast_to(np.arange(servers), (stations, servers))
    if servers <= _EVERY_TARGET:
        others = np.broadcast_to(np.arange(servers), (stations, servers, servers))
        return np.concatenate([stay[..., None], others], axis=2)
    near = np.argsort(hops, axis=1, kind="stable")[:, :_NEAR]
    near = np.broadcast_to(near[:, None], (stations, servers, _NEAR))
    apart, farthest = hops[home], hops.max() + 1
    between = []
    for stride in _STRIDES:
        # Of the servers at that distance from the host, the one that is nearest to the station.
        off = np.where(apart.T[None] == stride, hops[:, :, None], farthest)  # station, server, host
        between.append(np.where(off.min(axis=1) < farthest, off.argmin(axis=1), stay))
    return np.concatenate([stay[..., None], near, np.stack(between, axis=2)], axis=2)


class Cells(NamedTuple):
    """Best hosts and costs-to-go over stations and hosts, by how long one hop takes to pay back."""

    goes: Int[Array, "levels stations hosts"]
    """The server to which a service goes."""
    value_s: Float[Array, "levels stations hosts"]
    """Cost-to-go by the host of the service, in seconds of one hop."""


def best_hosts(
    payback_s: Float[np.ndarray, "levels"],
    relative: Float[np.ndarray, "distances"],
    chances: Float[np.ndarray, "stations stations"],
    hops: Int[np.ndarray, "stations servers"],
    home: Int[np.ndarray, "servers"],
    period_s: float,
    horizon_s: float,
) -> Cells:
    """Best next host of a service, by its host and its user's station, and the cost-to-go; value iteration.

    A user pays 1 for each second and hop from station to host, and `payback_s` times `relative` for a
    move over some hops: time is counted in seconds of one hop. The future is discounted by
    1 - period / horizon a period. A service that gains nothing stays. Results are cached by arguments.
    """
    return _solved(
        chances=np.ascontiguousarray(chances, float).tobytes(),
        hops=np.ascontiguousarray(hops, np.int64).tobytes(),
        home=tuple(np.asarray(home).tolist()),
        relative=tuple(np.asarray(relative, float).tolist()),
        payback_s=tuple(np.asarray(payback_s, float).tolist()),
        period_s=period_s,
        horizon_s=horizon_s,
    )


@lru_cache(maxsize=64)
def _solved(
    chances: bytes,
    hops: bytes,
    home: tuple[int, ...],
    relative: tuple[float, ...],
    payback_s: tuple[float, ...],
    period_s: float,
    horizon_s: float,
) -> Cells:
    hop_table = np.frombuffer(hops, np.int64).reshape(-1, len(home))
    chance = np.frombuffer(chances).reshape(len(hop_table), len(hop_table))
    stands = np.array(home)
    real = lambda value: jnp.asarray(value, float)  # noqa: E731
    return _iterate(
        payback_s=real(payback_s),
        relative=real(relative),
        chances=real(chance),
        hops=jnp.asarray(hop_table, jnp.int32),
        apart=jnp.asarray(hop_table[stands], jnp.int32),
        target=jnp.asarray(targets(hop_table, stands), jnp.int32),
        period_s=real(period_s),
        horizon_s=real(horizon_s),
    )


@jax.jit
def _iterate(
    payback_s: Float[Array, "levels"],
    relative: Float[Array, "distances"],
    chances: Float[Array, "stations stations"],
    hops: Int[Array, "stations hosts"],
    apart: Int[Array, "hosts hosts"],
    target: Int[Array, "stations hosts targets"],
    period_s: Float[Array, ""],
    horizon_s: Float[Array, ""],
) -> Cells:
    host, station = jnp.arange(hops.shape[1])[:, None], jnp.arange(hops.shape[0])[:, None, None]
    moved = relative[apart[host, target]]
    now = period_s * hops.astype(relative.dtype)
    discount = jnp.maximum(1 - period_s / horizon_s, 0)

    def level(payback_s: Float[Array, ""]) -> Cells:
        def costs(value: Float[Array, "stations hosts"]) -> Float[Array, "stations hosts targets"]:
            return payback_s * moved + value[station, target]

        def improve(so_far: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            value, _, number = so_far
            better = now + discount * (chances @ jnp.min(costs(value), axis=2))
            return better, jnp.max(jnp.abs(better - value)), number + 1

        def unsettled(so_far: tuple[Array, Array, Array]) -> Array:
            value, change, number = so_far
            least = _TOLERANCE * (period_s + jnp.max(value)) * period_s / horizon_s
            return (change > least) & (number < _MOST_ITERATIONS)

        start = (now, jnp.asarray(jnp.inf, now.dtype), jnp.zeros((), jnp.int32))
        value = jax.lax.while_loop(unsettled, improve, start)[0]
        # Home is the first of equals.
        best = jnp.argmin(costs(value), axis=2)[..., None]
        return Cells(jnp.take_along_axis(target, best, axis=2)[..., 0], value)

    return jax.lax.map(level, payback_s)

"""How good any policy could be over a whole run: the dual bound by a price per server and block.

For prices λ ≥ 0, Σ_i min over i's paths of Σ (t_i + λ φ) − Σ λ is never above the least sum of
users' mean times that any policy reaches, also one that knows the future (weak duality).
"""

from dataclasses import replace
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from isma.bounds.costs import block_lengths, demand, step_costs
from isma.bounds.future import Future
from isma.bounds.paths import path_costs, visits

_FIRST_BLUR, _LAST_BLUR = 0.1, 1e-3
_FINE_BLUR = 0.01
_COARSE = 10
"""Stride of the steps of the coarse search, where there is one."""
_GAIN = 0.3
_FIRST_SIZE, _LONGER, _SHORTER, _MIXED = 0.01, 1.2, 0.7, 0.3
"""Steps of the volume algorithm in log price: the first one, and how they grow and shrink."""
_ROUNDING = 1e-5
"""Part by which sums in single precision may be too large."""


class Effort(NamedTuple):
    """Numbers of iterations that improve prices."""

    coarse: int
    """On a subset of the steps, with free moves; 0 for none."""
    free: int
    """On all steps, with free moves."""
    paths: int
    """On all steps, with costly moves."""


class RunBound(NamedTuple):
    """A lower bound and the prices that prove it."""

    mean_s: Float[Array, ""]
    """No policy's mean over users of their mean completion times is below this one, in seconds."""
    price_s: Float[Array, "blocks servers"]


def first_prices_s(future: Future) -> Float[Array, "blocks servers"]:
    """Prices to start from: those at which the users spread evenly over the servers."""
    weight = jax.ops.segment_sum(
        future.weight.reshape(-1, future.weight.shape[2]), future.block.ravel(), future.num_blocks
    )
    rate = weight / jnp.maximum(block_lengths(future), 1e-12)[:, None]
    work_s = future.cycles[:, None] / future.server_hz
    root_price = jnp.sqrt(rate) @ jnp.sqrt(work_s) / future.server_hz.shape[0]
    return jnp.maximum(root_price**2, 1e-9)


@eqx.filter_jit
def run_bound(future: Future, effort: Effort) -> RunBound:
    """Lower bound of the mean completion time.

    Prices first follow the demand as if moves were free, while choices are blurred by a softmin whose
    temperature falls; then that of whole paths. The bound is the exact dual of the final prices:
    to stop early costs tightness, never validity. Where moves are free both are the same.
    """
    free = replace(future, stops=None)
    if effort.coarse:
        part, at = _thinned(free)
        price_s = _ascend(part, first_prices_s(part), effort.coarse, _FIRST_BLUR)[at]
        price_s = _ascend(free, price_s, effort.free, _FINE_BLUR)
    else:
        price_s = _ascend(free, first_prices_s(free), effort.free, _FIRST_BLUR)
    bound = dual_s(future, price_s)
    if future.stops is None or effort.paths == 0:
        return RunBound(bound, price_s)
    later = _follow(future, price_s, effort.paths)
    candidate = dual_s(future, later)
    return RunBound(jnp.maximum(bound, candidate), jnp.where(candidate > bound, later, price_s))


def _thinned(future: Future) -> tuple[Future, Int[Array, "blocks"]]:
    """Some of the steps, each with prices of its own, and which of them stands for each block."""
    some = lambda value: value[:, ::_COARSE]  # noqa: E731
    stages, steps = future.block.shape
    kept = len(range(0, steps, _COARSE))
    own = jnp.arange(stages * kept, dtype=jnp.int32).reshape(stages, kept)
    elsewhere = future.elsewhere
    if elsewhere is not None:
        elsewhere = replace(elsewhere, station=some(elsewhere.station))
    part = replace(
        future,
        weight=some(future.weight),
        length=some(future.length),
        block=own,
        uplink_s=some(future.uplink_s),
        hops=some(future.hops),
        elsewhere=elsewhere,
        num_blocks=stages * kept,
    )
    nearest = jnp.repeat(own, _COARSE, axis=1)[:, :steps]
    last = stages * kept - 1
    at = jnp.full(future.num_blocks, last, jnp.int32).at[future.block.ravel()].min(nearest.ravel())
    return part, at


def dual_s(future: Future, price_s: Float[Array, "blocks servers"]) -> Float[Array, ""]:
    """The bound that any prices prove, in seconds, less the greatest error of rounding."""
    costs = step_costs(future, price_s)
    reached = jnp.sum(path_costs(future, costs.cost_s, costs.steepness, None))
    paid = jnp.sum(price_s * block_lengths(future)[:, None])
    return (reached - paid - _ROUNDING * (reached + paid)) / jnp.maximum(future.counted, 1)


def _ascend(
    future: Future, price_s: Float[Array, "blocks servers"], steps: int, first_blur: float
) -> Float[Array, "blocks servers"]:
    """Prices after `steps` steps towards those at which no server is overloaded."""

    def improve(step: Array, log_price: Array) -> Array:
        blur = first_blur * (_LAST_BLUR / first_blur) ** (step / steps)
        asked = _asked(future, jnp.exp(log_price), blur).asked
        size = _GAIN * jnp.minimum(1.0, 10 * blur)
        return log_price + size * jnp.log(jnp.clip(asked, 0.1, 10.0))

    return jnp.exp(jax.lax.fori_loop(0, steps, improve, jnp.log(price_s)))


class _Best(NamedTuple):
    """State of the volume algorithm."""

    price_s: Float[Array, "blocks servers"]
    value_s: Float[Array, ""]
    asked: Float[Array, "blocks servers"]
    """Demand, averaged over the steps."""
    size: Float[Array, ""]


def _follow(
    future: Future, price_s: Float[Array, "blocks servers"], steps: int
) -> Float[Array, "blocks servers"]:
    """Better prices by the volume algorithm (Barahona and Anbil, Math. Programming 87, 2000).

    A user's whole path flips from one server to another, so that a single demand says little; the mean
    over steps is used. Every step starts from the best prices so far, and a step that gains nothing
    shortens the next.
    """
    start = _asked(future, price_s, _LAST_BLUR)

    def improve(_: Array, best: _Best) -> _Best:
        price = best.price_s * jnp.exp(best.size * jnp.clip(best.asked - 1, -1, 1))
        candidate = _asked(future, price, _LAST_BLUR)
        better = candidate.value_s > best.value_s
        return _Best(
            jnp.where(better, price, best.price_s),
            jnp.maximum(best.value_s, candidate.value_s),
            (1 - _MIXED) * best.asked + _MIXED * candidate.asked,
            best.size * jnp.where(better, _LONGER, _SHORTER),
        )

    size = jnp.full_like(start.value_s, _FIRST_SIZE)
    first = _Best(price_s, start.value_s, start.asked, size)
    return jax.lax.fori_loop(0, steps, improve, first).price_s


class _Asked(NamedTuple):
    """The blurred dual, which is never above the exact one, and the demand at its prices."""

    value_s: Float[Array, ""]
    asked: Float[Array, "blocks servers"]


def _asked(future: Future, price_s: Float[Array, "blocks servers"], blur: Array | float) -> _Asked:
    """Demand of users that choose by a softmin of this temperature, over a step's mean cost."""
    costs = step_costs(future, price_s)
    decisions = jnp.maximum(jnp.sum(future.weight > 0), 1)
    typical_s = jnp.sum(jnp.min(costs.cost_s, axis=-1)) / decisions
    total, at = visits(future, costs, blur * typical_s)
    paid = jnp.sum(price_s * block_lengths(future)[:, None])
    return _Asked(total - paid, demand(future, at, costs, price_s))

"""The lower bound of a world's mean completion time: the mean of its moments' decision bounds."""

import jax
import numpy as np
from jaxtyping import Array, Bool

from isma.bounds.decision import Bound, decision_bound, first_prices_s
from isma.planning.allocation import Offer, offers
from isma.policies.plain import Local
from isma.simulator.params import Params
from isma.simulator.rollout import run_chunk
from isma.simulator.state import State, reset
from isma.simulator.step import everyone, observe
from isma.world.scenario import Scenario, Visibility

_ENTRIES = 2_000_000
"""Users × servers × moments that are looked at: bounds of large worlds are sampled more thinly."""
_FIRST_STEPS, _STEPS, _BLUR = 500, 150, 0.01


def world_bound_s(scenario: Scenario, params: Params, seed: int) -> float:
    """No policy's mean is below this one in that world, in seconds, up to sampling in time.

    Holds where decisions do not reach into the future (no queues, migration free), as then every
    moment's bound stands by itself.
    """
    shape, time = params.shape, scenario.time
    moments = int(np.clip(_ENTRIES // (shape.num_users * shape.num_servers), 12, 60))
    ticks = max(1, (time.num_ticks - time.warmup_ticks) // moments)
    key, _ = jax.random.split(jax.random.key(seed))
    state, memory, price = jax.jit(reset)(params, key), Local().init(scenario, 0, 0, key), None
    bounds: list[float] = []
    for tick in range(0, time.num_ticks, ticks):
        if tick >= time.warmup_ticks:
            bound = _first(params, state) if price is None else _next(params, state, price)
            price = bound.price_s
            bounds.append(float(bound.mean_s))
        state, memory, _ = run_chunk(params, Local(), state, memory, key, ticks)
    return float(np.mean(bounds))


@jax.jit
def _first(params: Params, state: State) -> Bound:
    offer, counted = _offer(params, state)
    return decision_bound(offer, counted, first_prices_s(offer, counted), _FIRST_STEPS)


@jax.jit
def _next(params: Params, state: State, price_s: jax.Array) -> Bound:
    offer, counted = _offer(params, state)
    return decision_bound(offer, counted, price_s, _STEPS, _BLUR)


def _offer(params: Params, state: State) -> tuple[Offer, Bool[Array, "users"]]:
    seen = observe(params, state, everyone(params, state), Visibility.FULL)
    return offers(seen), seen.visible

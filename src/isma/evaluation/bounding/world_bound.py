"""The lower bound of a world's mean completion time: the mean of its moments' decision bounds."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from isma.bounds.decision import Bound, decision_bound, first_prices_s
from isma.contract import Observation
from isma.planning.allocation import Offer, offers
from isma.policies.rules.local_random import Local
from isma.policies.shared import nearest
from isma.simulator.emission import Emission
from isma.simulator.params import Params
from isma.simulator.runner import PLAIN, Runner, most_ticks
from isma.simulator.state import State
from isma.simulator.step import everyone, observe
from isma.world.scenario import Scenario, Visibility

_ENTRIES = 2_000_000
"""Users × servers × moments that are looked at: bounds of large worlds are sampled more thinly."""
_FIRST_STEPS, _STEPS, _BLUR = 500, 150, 0.01


def world_bound_s(
    scenario: Scenario,
    params: Params,
    seed: int,
    on_moment: Callable[[], None] = lambda: None,
    runner: Runner = PLAIN,
) -> float:
    """No policy's mean is below this one in that world, in seconds, up to sampling in time.

    Every moment's bound is independent: later costs of a decision (waits for a service that
    stands still) is left out, which makes the bound looser, never wrong (docs/method/allocation.md). So
    does it that in a large city all CPU is taken to be that of one server.
    A user that is not there throughout counts for more in the moments that it has, since the mean
    is over users. NaN where no moment has a user. `on_moment` may raise to stop.
    """
    shape, time = params.shape, scenario.time
    moments = int(np.clip(_ENTRIES // (shape.num_users * shape.num_servers), 12, 60))
    ticks = max(1, (time.num_ticks - time.warmup_ticks) // moments)
    state, memory, key = runner.start(scenario, params, Local(), seed)
    advance = runner.advance(params, Local(), (state, memory, key))
    moment = [tick for tick in range(0, time.num_ticks, ticks) if tick >= time.warmup_ticks]
    met = np.sum([_there(state.emission, tick, time.slots_per_tick) for tick in moment], axis=0)
    weight = len(moment) / np.maximum(met, 1)
    total_s, price, users = 0.0, None, 0
    for tick in range(0, time.num_ticks, ticks):
        on_moment()
        here = np.where(_there(state.emission, tick, time.slots_per_tick), weight, 0)
        if tick >= time.warmup_ticks and here.any():
            counts = jnp.asarray(here, params.tick_s.dtype)
            same = price is not None and users == np.count_nonzero(here)
            bound = (
                runner.kept(_next, params, state, counts, price)
                if same
                else runner.kept(_first, params, state, counts)
            )
            price, users = bound.price_s, np.count_nonzero(here)
            total_s += float(bound.mean_s) * float(here.sum())
        for some in _parts(ticks, most_ticks(params)):
            state, memory, _ = advance((state, memory, key), some)
    counted = np.count_nonzero(met)
    return total_s / (len(moment) * counted) if counted else float("nan")


def _parts(total: int, most: int) -> Iterator[int]:
    """Summands of a total, each at most `most`."""
    for first in range(0, total, most):
        yield min(most, total - first)


def _there(emission: Emission, tick: int, slots_per_tick: int) -> Bool[np.ndarray, "users"]:
    """Users that have arrived by the tick's end and were present at its beginning."""
    there = np.asarray(emission.first_slot) < (tick + 1) * slots_per_tick
    if emission.leave_slot is None:
        return there
    return there & (np.asarray(emission.leave_slot) > tick * slots_per_tick)


def _first(params: Params, state: State, weight: Float[Array, "users"]) -> Bound:
    offer = _offer(params, state)
    return decision_bound(offer, weight, first_prices_s(offer, weight), _FIRST_STEPS)


def _next(
    params: Params, state: State, weight: Float[Array, "users"], price_s: Float[Array, "servers"]
) -> Bound:
    return decision_bound(_offer(params, state), weight, price_s, _STEPS, _BLUR)


def _offer(params: Params, state: State) -> Offer:
    """Offers of servers at their best: no waiting, and the whole band for every user."""
    seen = observe(params, state, everyone(params, state), Visibility.FULL)
    seen = replace(seen, bandwidth_hz=None)
    if seen.infrastructure.near is None:
        return offers(seen).of()
    return _pooled(offers(seen).at(nearest(seen)), seen)


def _pooled(offer: Offer, seen: Observation) -> Offer:
    """The CPU of a large city as that of one server, as near to each user as its nearest one.

    The pooled offer is never worse than any server's: with the part φ f / Σ f of the whole a
    task's cycles take as long as with the part φ of a server. So the bound is looser, never wrong.
    """
    work_s = seen.requests.cycles / jnp.sum(seen.infrastructure.server_hz)
    column = lambda value: value[:, None]  # noqa: E731
    return jax.tree.map(column, Offer(offer.local_s, offer.transfer_s, work_s, offer.fixed_s))

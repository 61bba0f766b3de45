"""Levels of foresight: references that know a world's future up to a given horizon."""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from isma.evaluation.bounding.known_future import Ticks
from isma.planning.migration import cost_of
from isma.policies.pricing.policy import Price
from isma.policies.pricing.true_future import Track, TrueFuture
from isma.policies.rules.markov import cells_along, distances_of
from isma.world.scenario import Scenario
from isma.world.walks import walks

_CELL_STEP_S = 5.0
"""Users hardly change stations in less, and longer steps settle sooner."""
_HORIZON_S = 600.0
_STEPS_S = ((60.0, 5.0), (float("inf"), 10.0))
"""Resolution of a known future, by its horizon in seconds."""


def price_with_foresight(scenario: Scenario, ticks: Ticks, foresight_s: float) -> Price:
    """The reference that knows `foresight_s` of a world's future. Raises DataError or ScenarioError."""
    finest_s = next(step_s for longest_s, step_s in _STEPS_S if foresight_s <= longest_s)
    known_steps = math.ceil(foresight_s / finest_s)
    # The present observation holds until the next decision.
    period_s = float(np.mean(np.asarray(scenario.servers.decision_period_s)))
    every = max(
        round((foresight_s / known_steps if known_steps else period_s) / scenario.time.tick_s), 1
    )
    track = Track(
        jnp.asarray(ticks.station[::every], jnp.int32),
        jnp.asarray(ticks.begin_uplink_s[::every]),
        jnp.asarray(every * scenario.time.slots_per_tick, jnp.int32),
    )
    future = TrueFuture(
        track=track, value_s=_value_s(scenario), segments=max(known_steps, 1), known=known_steps
    )
    # Small: a move that must pay for its stop along the true trajectory is no fickle one.
    return Price(valuation=future, margin=0.01, margin_on_hops=True, spread=0.0)


def _value_s(scenario: Scenario) -> Float[Array, "levels stations hosts"] | None:
    """Cost-to-go over cells, learned as `cell-mdp` learns it."""
    cost = cost_of(scenario.migration)
    if cost is None:
        return None
    distances = distances_of(scenario, cost)
    return cells_along(distances, walks(scenario, _CELL_STEP_S), _CELL_STEP_S, _HORIZON_S).value_s

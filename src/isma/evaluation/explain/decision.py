"""Look into a run: why a user's service was sent where it was. The world is run again up to then."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from isma.contract import Action, Memory, Observation, Policy
from isma.errors import RunError, unknown
from isma.evaluation import stored_results
from isma.evaluation.cell import chunk_ticks
from isma.evaluation.explain.explanation import Explanation, ServerCost
from isma.evaluation.keys import Keys
from isma.evaluation.plan import Plan, plan_of
from isma.policies import registry
from isma.policies.plain_python import policy_errors
from isma.policies.pricing.breakdown import Breakdown, break_down
from isma.policies.pricing.policy import Price
from isma.policies.shared import refuse_large
from isma.simulator.params import Params, build
from isma.simulator.rollout import run_chunk
from isma.simulator.state import State, draw, reset
from isma.simulator.step import before_decisions, observe
from isma.world import files
from isma.world.scenario import Scenario
from isma.world.vary import Point

_LOG = logging.getLogger(__name__)
_PREFERRED = ("isma2", "price")
"""Policies that are explained by default, the first that the run has."""


OnTicks = Callable[[int, int], None]
"""Callback with the ticks before the decision that are done, and their number."""


class _DecisionTick(NamedTuple):
    """A tick's decisions, before they are carried out."""

    observation: Observation
    action: Action
    breakdown: Breakdown


def explain(
    folder: Path,
    user: int,
    time_s: float,
    policy: str | None = None,
    seed: int | None = None,
    point: int = 1,
    on_ticks: OnTicks = lambda done, total: None,
) -> Explanation:
    """The first decision for a user from a time on, in a run that `isma compare` wrote.

    The world is run again up to then: a run is the same each time. Without a policy it is `isma2`,
    `price` or, if the run has neither, its first, without a seed its first; `point` counts the values
    of `--vary` from 1. Raises IsmaError.
    """
    plan = plan_of(folder)
    name = _default_policy(plan, folder) if policy is None else policy
    if name not in plan.policies:
        raise RunError(f"{folder}: {unknown('policy of this run', name, plan.policies)}")
    given = (files.run_table(folder / "config.toml") or {}).get("given", {})
    if name in given:
        raise RunError(f"{folder}: {name!r} was given from Python ({given[name]}), and is not here")
    made = registry.get(name)
    world = plan.seeds[0] if seed is None else seed
    if world not in plan.seeds:
        raise RunError(
            f"{folder}: --seed must be one of the run's {', '.join(map(str, plan.seeds))}, got {world}"
        )
    points = plan.points()
    if not 1 <= point <= len(points):
        raise RunError(f"{folder}: --point must be 1 to {len(points)}, got {point}")
    at = points[point - 1]
    key = Keys().cell(at.scenario, name, world)
    if not stored_results.cell_path(folder, key).exists():
        _LOG.warning(
            "%s was made by other code or data than is here now: its worlds are run again by these, "
            "and may differ",
            folder,
        )
    with policy_errors(made):
        return of_world(at, name, made, user, time_s, world, on_ticks)


def _default_policy(plan: Plan, folder: Path) -> str:
    """Policy whose decisions are explained where none is named. Raises PolicyError for third-party code."""
    ordered = [one for one in (*_PREFERRED, *plan.policies) if one in plan.policies]
    name = next((one for one in ordered if not registry.is_outside(one)), ordered[0])
    registry.refuse_outside([name], folder, f"if you trust it, type --policy {name}")
    return name


def of_world(
    point: Point,
    name: str,
    policy: Policy,
    user: int,
    time_s: float,
    seed: int,
    on_ticks: OnTicks = lambda done, total: None,
) -> Explanation:
    """Explanation of a decision in a world that is named by its scenario and seed. Raises IsmaError."""
    scenario, params = point.scenario, build(point.scenario)
    shape = params.shape
    refuse_large("isma explain", shape.num_users, shape.num_servers)
    _check(scenario, params, user, time_s)
    key, memory_key = jax.random.split(jax.random.key(seed))
    state = _reset(params, key)
    memory = policy.init(scenario, shape.num_users, shape.num_servers, memory_key)
    before_ticks = int(time_s / scenario.time.tick_s + 1e-6)
    state, memory = _run(params, policy, state, memory, key, before_ticks, on_ticks)
    decided: tuple[State, _DecisionTick] | None = None
    times_s: list[float] = []
    stop_slots = 0
    while int(state.tick) < scenario.time.num_ticks:
        now = _decided_at(params, policy, state, memory, key)
        if bool(now.observation.decides[user]):
            if decided is not None:
                break
            decided = state, now
        state, memory, outcome = run_chunk(params, policy, state, memory, key, 1)
        if decided is not None:
            times_s += np.asarray(outcome.completion_time_s)[0, user].tolist()
            if state.downtime is not None:
                start = int(decided[0].tick) * scenario.time.slots_per_tick
                stop_slots = max(stop_slots, int(state.downtime.up_slot[user]) - start)
    if decided is None:
        raise RunError(
            f"user {user} must have a decision after {time_s:g} s, got none until the run's end"
        )
    done_s = np.array(times_s)[~np.isnan(times_s)]
    before, now = decided
    return Explanation(
        policy=name,
        user=user,
        time_s=int(before.tick) * scenario.time.tick_s,
        station=int(now.observation.station[user]),
        host=int(now.observation.host[user]),
        target=int(now.action.server[user]),
        offload_ratio=float(now.action.offload_ratio[user]),
        cpu_share=float(now.action.cpu_share[user]),
        choices=_choices(now, user),
        now_s=float(now.breakdown.now_s[user]),
        margin=policy.margin if isinstance(policy, Price) else None,
        priced=policy.publishes_price,
        stop_s=stop_slots * scenario.time.slot_s,
        tasks=len(done_s),
        mean_s=float(done_s.mean()) if len(done_s) else float("nan"),
        weight=None if now.breakdown.weight is None else float(now.breakdown.weight[user]),
    )


def _run(
    params: Params,
    policy: Policy,
    state: State,
    memory: Memory,
    key: PRNGKeyArray,
    ticks: int,
    on_ticks: OnTicks,
) -> tuple[State, Memory]:
    chunk = chunk_ticks(params, max(ticks, 1))
    for left in range(ticks, 0, -chunk):
        on_ticks(ticks - left, ticks)
        state, memory, _ = run_chunk(params, policy, state, memory, key, min(chunk, left))
    return state, memory


@eqx.filter_jit
def _decided_at(
    params: Params, policy: Policy, state: State, memory: Memory, key: PRNGKeyArray
) -> _DecisionTick:
    draws = draw(params, key, state.tick)
    state, deciding, _ = before_decisions(params, state, draws)
    seen = observe(params, state, deciding, policy.visibility or params.shape.visibility)
    action, _ = policy.act(memory, seen, draws.policy_key)
    return _DecisionTick(seen, action, break_down(policy, memory, seen))


def _choices(tick: _DecisionTick, user: int) -> tuple[ServerCost, ...]:
    row = lambda value: np.asarray(value[user], float).tolist()  # noqa: E731
    hops: Float[Array, "servers"] = tick.observation.infrastructure.hops[
        tick.observation.station[user]
    ]
    breakdown = tick.breakdown
    choices = [
        ServerCost(server, round(far), *values)
        for server, (far, *values) in enumerate(
            zip(
                np.asarray(hops).tolist(),
                row(breakdown.load),
                row(breakdown.offload_ratio),
                row(breakdown.own_s),
                row(breakdown.others_s),
                row(breakdown.later_s),
                row(breakdown.hop_saving_s),
                strict=True,
            )
        )
    ]
    return tuple(sorted(choices, key=lambda choice: choice.cost_s))


def _check(scenario: Scenario, params: Params, user: int, time_s: float) -> None:
    if not 0 <= user < params.shape.num_users:
        raise RunError(f"--user must be 0 to {params.shape.num_users - 1}, got {user}")
    if not 0 <= time_s < scenario.time.duration_s:
        raise RunError(
            f"--time must be within the run's {scenario.time.duration_s:g} s, got {time_s:g} s"
        )


_reset = jax.jit(reset)

"""Study of the search that a decision needs: the planner's budgets, and rules, by the delay that follows.

In each of some states one server decides for its users with a budget, and then no server decides for K
periods: the delay of those users' tasks meanwhile is the worth of that one decision. All budgets and
rules meet the same states, and the same world after them.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Float, PRNGKeyArray
from matplotlib.ticker import NullFormatter

from isma import sources
from isma.contract import Memory, Policy
from isma.evaluation import stored_results
from isma.evaluation.keys import key
from isma.evaluation.report.figures import style
from isma.evaluation.report.figures.drawing import Drawing, Figure, blank, save
from isma.evaluation.statistics import interval, paired_ratio
from isma.model import vectors
from isma.planning.cross_entropy import Budget, Searched
from isma.policies.learned.latent_planner import LatentPlanner, plan
from isma.simulator.params import Params, build
from isma.simulator.rollout import run_chunk, run_chunk_of_worlds
from isma.simulator.state import State, reset
from isma.simulator.step import everyone, observe
from isma.storage import claimed, digest, write_atomically
from isma.world import files
from isma.world.scenario import Scenario, Visibility

_BEFORE_S = 30.0
"""Time simulated before the decision, so that a server has some history."""
_EARLIER = Budget(candidates=16, iterations=1, horizon=10, elites=4)
"""The budget until then: small, since only the time after the decision is measured."""
_NEVER = 10**9
_IN_DETAIL = 4
"""States whose search is recorded pass by pass."""
_STATES = "states"
_SEED = 2000
"""Apart from the seeds of trainings and of comparisons."""


class Moment(eqx.Module):
    """A state in which one server is due, with its memory."""

    state: State
    memory: Memory
    key: PRNGKeyArray
    """Key of its world, for all later draws, the search's noise included."""
    server: Array


@dataclass(frozen=True)
class Worth:
    """Worth of one budget, or of one rule."""

    budget: str
    latent_steps: int
    """0 for a rule, which imagines nothing."""
    mean_s: Float[np.ndarray, "states"]
    """Mean completion time of the server's users in each state; the first states, if not all."""


def moments(scenario: Scenario, planner: LatentPlanner, number: int) -> tuple[Params, list[Moment]]:
    """`number` states, each of a world of its own in which this planner has decided so far."""
    params = build(scenario)
    key = jax.random.key(_SEED)
    keys = jax.random.split(key, number)
    ticks = round(_BEFORE_S / scenario.time.tick_s)
    start = jax.vmap(reset, in_axes=(None, 0))(params, keys)
    first = planner.init(scenario, params.shape.num_users, params.shape.num_servers, key)
    memory = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (number, *leaf.shape)), first)
    after = run_chunk_of_worlds(params, planner, start, memory, keys, ticks)[:2]
    due = [
        _one_due(jax.tree.map(lambda leaf, w=world: leaf[w], (*after, keys)), params, world)
        for world in range(number)
    ]
    # No server is due again.
    held = eqx.tree_at(lambda p: p.period_ticks, params, jnp.full_like(params.period_ticks, _NEVER))
    return held, due


def worth_s(params: Params, policy: Policy, moment: Moment, ticks: int) -> float:
    """Mean completion time of the deciding server's users, equation (7), over the ticks that follow."""
    own = np.asarray(moment.state.placement.host == moment.server)
    _, _, outcome = run_chunk(params, policy, moment.state, moment.memory, moment.key, ticks)
    times = np.asarray(outcome.completion_time_s)[:, own]
    return float(np.nanmean(np.nanmean(times, axis=(0, 2))))


def searched(params: Params, planner: LatentPlanner, moment: Moment) -> tuple[Searched, np.ndarray]:
    """Search in one state, pass by pass, and the mask of the rows that are own users."""
    observation = observe(params, moment.state, everyone(params, moment.state), Visibility.SERVER)
    seen = vectors.see(observation, planner.scales)
    row = lambda tree: jax.tree.map(lambda leaf: leaf[moment.server], tree)  # noqa: E731
    belief = row(moment.memory.per_server)
    observe_key, plan_key = jax.random.split(moment.key)
    carry, _, _ = planner.model.observe(
        belief.carry, belief.action, seen.vector[moment.server], observe_key
    )
    own = seen.own[moment.server]
    local_s = observation.requests.deadline_s[seen.user[moment.server]]
    result = eqx.filter_jit(plan)(
        planner.search, planner.frame, planner.model, carry, own, local_s, plan_key
    )
    return result, np.asarray(own)


def study(
    scenario: Scenario,
    planner: LatentPlanner,
    budgets: Mapping[str, tuple[Budget, int]],
    rules: Mapping[str, Policy],
    out: Path,
    on_progress: Callable[[str, int, int], None] = lambda label, done, total: None,
) -> tuple[pd.DataFrame, Figure]:
    """Run every budget in its number of states, the last one in detail; the table and the picture.

    The rules decide in the states of the last budget, as if they had seen nothing before.
    Keeps the result of each state, from which the same study resumes after an interruption; then writes
    budgets.csv, search.csv, budgets.svg and budgets.png. Raises RunError.
    """
    weights = b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(planner.model))
    asked = {name: number for name, (_, number) in budgets.items()}
    description = {"weights": digest(weights), "budgets": asked, "scenario": files.dumps(scenario)}
    text = json.dumps(description, indent=2) + "\n"
    with claimed(out, "study.json", text, "study"):
        return _study(scenario, planner, budgets, rules, out, text, on_progress)


def _study(
    scenario: Scenario,
    planner: LatentPlanner,
    budgets: Mapping[str, tuple[Budget, int]],
    rules: Mapping[str, Policy],
    out: Path,
    text: str,
    on_progress: Callable[[str, int, int], None],
) -> tuple[pd.DataFrame, Figure]:
    done = 0
    last = list(budgets)[-1]
    full, most = budgets[last]
    total = sum(number for _, number in budgets.values()) + len(rules) * most
    on_progress("simulating up to the decisions", done, total)
    lives = _with_budget(planner, _EARLIER)
    params, states = moments(scenario, lives, max(number for _, number in budgets.values()))
    period_s = float(np.max(scenario.servers.decision_period_s))

    def worth(label: str, policy: Policy, budget: Budget, number: int, recall: bool) -> Worth:
        ticks = round(period_s / scenario.time.tick_s)
        nonlocal done
        code, values_s = sources.of_policy(type(policy)), []
        for at in range(number):
            on_progress(label, done, total)
            named = key(__name__, study=text, policy=code, decides=label, state=at)
            path = stored_results.value_path(out / _STATES, named)
            value = stored_results.load_value(path, named)
            if value is None:
                moment = states[at] if recall else _anew(scenario, params, policy, states[at])
                value = worth_s(params, policy, moment, ticks)
                stored_results.save_value(path, named, value)
            values_s.append(value)
            done += 1
        return Worth(label, budget.latent_steps if recall else 0, np.array(values_s))

    measured = [
        worth(name, _with_budget(planner, budget), budget, number, recall=True)
        for name, (budget, number) in budgets.items()
    ]
    ruled = [worth(name, rule, full, most, recall=False) for name, rule in rules.items()]
    on_progress(f"passes of budget {last}", total, total)
    spent = _with_budget(planner, full)
    history = [searched(params, spent, state) for state in states[:_IN_DETAIL]]
    table, passes = _table([*measured, *ruled], measured[-1]), _passes(history)
    write_atomically(out / "budgets.csv", _csv(table))
    write_atomically(out / "search.csv", _csv(passes))
    return table, _draw(measured, ruled, passes, last, out)


def _with_budget(planner: LatentPlanner, budget: Budget) -> LatentPlanner:
    return replace(planner, search=replace(planner.search, budget=budget))


def _anew(scenario: Scenario, params: Params, policy: Policy, moment: Moment) -> Moment:
    """State for a policy with an initial memory."""
    shape = params.shape
    memory = policy.init(scenario, shape.num_users, shape.num_servers, moment.key)
    return eqx.tree_at(lambda m: m.memory, moment, memory)


def _one_due(world: tuple[State, Memory, PRNGKeyArray], params: Params, number: int) -> Moment:
    """State with one server due now, in turn among those with users."""
    state, memory, key = world
    users = np.bincount(np.asarray(state.placement.host), minlength=params.shape.num_servers)
    busy = np.flatnonzero(users)
    server = busy[number % len(busy)]
    mine = jnp.arange(params.shape.num_servers) == server
    phase = jnp.where(mine, state.tick, state.tick - 1).astype(state.phase_ticks.dtype)
    due = eqx.tree_at(lambda s: s.phase_ticks, state, phase)
    return Moment(due, memory, key, jnp.asarray(server))


def _table(found: Sequence[Worth], last: Worth) -> pd.DataFrame:
    full = last.mean_s
    rows = []
    for one in found:
        low, high = interval(one.mean_s)
        above, least, most = paired_ratio(one.mean_s[: len(full)], full)
        rows.append(
            {
                "budget": one.budget,
                "latent_steps": one.latent_steps,
                "states": len(one.mean_s),
                "mean_s": float(np.mean(one.mean_s)),
                "low_s": low,
                "high_s": high,
                "above_last": above,
                "above_low": least,
                "above_high": most,
                "paired_states": len(full),
            }
        )
    return pd.DataFrame(rows)


def _passes(history: Sequence[tuple[Searched, np.ndarray]]) -> pd.DataFrame:
    """Means over the states; the spread is that of the own users' numbers, which alone matter."""
    over = lambda each: np.mean([each(*one) for one in history], axis=0)  # noqa: E731
    return pd.DataFrame(
        {
            "pass": np.arange(len(history[0][0].best_score)),
            "best_score": over(lambda found, own: np.asarray(found.best_score)),
            "elite_score": over(lambda found, own: np.asarray(found.elite_score)),
            "spread": over(_own_spread),
        }
    )


def _own_spread(found: Searched, own: np.ndarray) -> np.ndarray:
    passes, steps, _ = found.spread.shape
    by_user = np.asarray(found.spread).reshape(passes, steps, len(own), -1)
    return by_user[:, :, own].mean(axis=(1, 2, 3))


def _csv(table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False, lineterminator="\n", float_format="%.6g").encode()


def _draw(
    found: Sequence[Worth], ruled: Sequence[Worth], passes: pd.DataFrame, last: str, out: Path
) -> Figure:
    with style.theme():
        canvas = blank(3.6)
        left, middle, right = canvas.subplots(1, 3)
        steps = [one.latent_steps for one in found]
        means = np.array([np.mean(one.mean_s) for one in found])
        half = np.array([np.ptp(interval(one.mean_s)) / 2 for one in found])
        left.errorbar(steps, means, half, marker="o", color=style.PURPLE, elinewidth=1.0)
        for rule, dashes in zip(ruled, ("--", ":", "-."), strict=False):
            mean_s = float(np.mean(rule.mean_s))
            left.axhline(mean_s, color=style.ORANGE, linestyle=dashes, label=rule.budget)
        if ruled:
            left.legend(frameon=False, fontsize=8.5, loc="upper left")
            left.set_ylim(bottom=0)
        left.set_xscale("log")
        left.xaxis.set_major_formatter(lambda steps, _: f"{steps:,.0f}")
        left.xaxis.set_minor_formatter(NullFormatter())
        style.title(left, "What a decision is worth", "mean completion time (s); bars: 95 %")
        left.set_xlabel("latent steps a decision")
        style.title(middle, "Score by pass", f"budget {last}, as the model foretells")
        for name, colour in (("best_score", style.PURPLE), ("elite_score", style.ORANGE)):
            middle.plot(passes["pass"], passes[name], color=colour, label=name.replace("_", " "))
        middle.legend(frameon=False, fontsize=8.5)
        style.title(right, "Spread by pass", "mean standard deviation, own users' numbers")
        right.plot(passes["pass"], passes["spread"], color=style.PURPLE)
        right.set_ylim(bottom=0)
        for axes in (middle, right):
            axes.set_xlabel("pass")
        caption = "One server decides once; its users' tasks over the K periods that follow."
        return save(Drawing("budgets", "Budgets of the planner", caption, canvas), out)

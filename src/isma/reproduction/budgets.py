"""How much search a decision needs: the planner's budgets against what each brings in the world.

In each of some states one server decides for its users with a budget, and then nobody decides for K
periods: what those users' tasks took meanwhile is what that one decision was worth. All budgets meet
the same states, and the same world after them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Float, PRNGKeyArray

from isma.contract import Memory
from isma.evaluation.figures import style
from isma.evaluation.figures.drawing import Drawing, Figure, blank, save
from isma.evaluation.statistics import interval, paired_ratio
from isma.model import vectors
from isma.planning.cross_entropy import Budget, Searched
from isma.policies.latent import LatentPlanner, plan
from isma.simulator.params import Params, build
from isma.simulator.rollout import run_chunk, run_chunk_of_worlds
from isma.simulator.state import State, reset
from isma.simulator.step import everyone, observe
from isma.storage import write_atomically
from isma.world.scenario import Scenario, Visibility

_BEFORE_S = 30.0
"""What is lived before the decision: a server has some history then."""
_NEVER = 10**9
_SEED = 2000
"""Apart from the seeds of trainings and of comparisons."""


class Moment(eqx.Module):
    """A state in which one server is due, and what it remembers."""

    state: State
    memory: Memory
    server: Array


@dataclass(frozen=True)
class Worth:
    """What one budget brings."""

    budget: str
    latent_steps: int
    mean_s: Float[np.ndarray, "states"]
    """Mean completion time of the server's users in each state; the first states, if not all."""


def moments(
    scenario: Scenario, planner: LatentPlanner, number: int
) -> tuple[Params, list[Moment], PRNGKeyArray]:
    """So many states of worlds that this planner has decided in so far, and their key."""
    params = build(scenario)
    key = jax.random.key(_SEED)
    keys = jax.random.split(key, number)
    ticks = round(_BEFORE_S / scenario.time.tick_s)
    start = jax.vmap(reset, in_axes=(None, 0))(params, keys)
    first = planner.init(scenario, params.shape.num_users, params.shape.num_servers, key)
    memory = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (number, *leaf.shape)), first)
    state, memory, _ = run_chunk_of_worlds(params, planner, start, memory, keys, ticks)
    found = [
        _one_due(jax.tree.map(lambda leaf, w=world: leaf[w], (state, memory)), params, world)
        for world in range(number)
    ]
    # Nobody is due again.
    held = eqx.tree_at(lambda p: p.period_ticks, params, jnp.full_like(params.period_ticks, _NEVER))
    return held, found, key


def worth(
    params: Params, planner: LatentPlanner, at: Sequence[Moment], ticks: int, key: PRNGKeyArray
) -> Float[np.ndarray, "states"]:
    """Mean completion time of the deciding server's users in each state, over the ticks that follow."""
    means = []
    for moment in at:
        own = np.asarray(moment.state.placement.host == moment.server)
        _, _, outcome = run_chunk(params, planner, moment.state, moment.memory, key, ticks)
        means.append(float(np.nanmean(np.asarray(outcome.completion_time_s)[:, own])))
    return np.array(means)


def searched(params: Params, planner: LatentPlanner, moment: Moment, key: PRNGKeyArray) -> Searched:
    """How the search goes, pass by pass, in one state."""
    seen = vectors.see(
        observe(params, moment.state, everyone(params, moment.state), Visibility.SERVER),
        planner.scales,
    )
    row = lambda tree: jax.tree.map(lambda leaf: leaf[moment.server], tree)  # noqa: E731
    belief = row(moment.memory.per_server)
    observe_key, plan_key = jax.random.split(key)
    carry, _, _ = planner.model.observe(
        belief.carry, belief.action, seen.vector[moment.server], observe_key
    )
    own = seen.own[moment.server]
    return eqx.filter_jit(plan)(
        *(planner.model, carry, own, planner.budget),
        *(planner.num_servers, planner.discount, plan_key),
    )


def study(
    scenario: Scenario,
    planner: LatentPlanner,
    budgets: Mapping[str, tuple[Budget, int]],
    out: Path,
    on_progress: Callable[[str, int, int], None] = lambda label, done, total: None,
) -> tuple[pd.DataFrame, Figure]:
    """Run every budget in so many states, the last one in detail; the table and the picture.

    Writes budgets.csv, search.csv, budgets.svg and budgets.png into `out`. Raises RunError.
    """
    names = list(budgets)
    total = sum(number for _, number in budgets.values())
    params, states, key = moments(scenario, planner, max(number for _, number in budgets.values()))
    period_s = float(np.max(scenario.servers.decision_period_s))
    found, done = [], 0
    for name in names:
        budget, number = budgets[name]
        ticks = round(budget.horizon * period_s / scenario.time.tick_s)
        spent = replace(planner, budget=budget)
        means = []
        for state in states[:number]:
            on_progress(f"budget {name}", done, total)
            means.append(worth(params, spent, [state], ticks, key)[0])
            done += 1
        found.append(Worth(name, budget.latent_steps, np.array(means)))
    last = replace(planner, budget=budgets[names[-1]][0])
    history = [searched(params, last, state, key) for state in states[: min(4, len(states))]]
    table, passes = _table(found), _passes(history)
    write_atomically(out / "budgets.csv", _csv(table))
    write_atomically(out / "search.csv", _csv(passes))
    return table, _draw(found, passes, names[-1], out)


def _one_due(lived: tuple[State, Memory], params: Params, number: int) -> Moment:
    """One server is made due now, in turn among those with users; the others are not."""
    state, memory = lived
    users = np.bincount(np.asarray(state.placement.host), minlength=params.shape.num_servers)
    busy = np.flatnonzero(users)
    server = busy[number % len(busy)]
    mine = jnp.arange(params.shape.num_servers) == server
    phase = jnp.where(mine, state.tick, state.tick - 1).astype(state.phase_ticks.dtype)
    return Moment(eqx.tree_at(lambda s: s.phase_ticks, state, phase), memory, jnp.asarray(server))


def _table(found: Sequence[Worth]) -> pd.DataFrame:
    full = found[-1].mean_s
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


def _passes(history: Sequence[Searched]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "pass": np.arange(len(history[0].best_score)),
            "best_score": np.mean([np.asarray(one.best_score) for one in history], axis=0),
            "elite_score": np.mean([np.asarray(one.elite_score) for one in history], axis=0),
            "spread": np.mean([np.asarray(one.spread) for one in history], axis=0),
        }
    )


def _csv(table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False, lineterminator="\n", float_format="%.6g").encode()


def _draw(found: Sequence[Worth], passes: pd.DataFrame, last: str, out: Path) -> Figure:
    with style.theme():
        canvas = blank(3.6)
        left, middle, right = canvas.subplots(1, 3)
        steps = [one.latent_steps for one in found]
        means = np.array([np.mean(one.mean_s) for one in found])
        half = np.array([np.ptp(interval(one.mean_s)) / 2 for one in found])
        left.errorbar(steps, means, half, marker="o", color=style.PURPLE, elinewidth=1.0)
        left.set_xscale("log")
        style.title(left, "What a decision is worth", "mean completion time (s); bars: 95 %")
        left.set_xlabel("latent steps a decision")
        style.title(middle, "Score by pass", f"budget {last}, as the model foretells")
        for name, colour in (("best_score", style.PURPLE), ("elite_score", style.ORANGE)):
            middle.plot(passes["pass"], passes[name], color=colour, label=name.replace("_", " "))
        middle.legend(frameon=False, fontsize=8.5)
        style.title(right, "Spread by pass", "mean standard deviation of the code")
        right.plot(passes["pass"], passes["spread"], color=style.PURPLE)
        right.set_ylim(bottom=0)
        for axes in (middle, right):
            axes.set_xlabel("pass")
        caption = "One server decides once; its users' tasks over the K periods that follow."
        return save(Drawing("budgets", "Budgets of the planner", caption, canvas), out)

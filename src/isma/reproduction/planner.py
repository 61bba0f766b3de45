"""The planner with a learned model against the same search with known equations, by budget.

In closed loop: every policy decides throughout in the same worlds. The difference between the two
curves is the model's; the remaining gap to the rules is the search's, or that of servers which plan
at once, each for its own users, with the last broadcasts.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.ticker import NullFormatter

from isma.evaluation.comparison import compare
from isma.evaluation.comparison.tables import Run, of_policy
from isma.evaluation.plan import Plan
from isma.evaluation.report.figures import style
from isma.evaluation.report.figures.drawing import Drawing, Figure, blank, save
from isma.evaluation.statistics import interval, paired_ratio
from isma.policies.learned.checkpoints import budget_of
from isma.reproduction.scale import Scale
from isma.storage import write_atomically
from isma.world import files

LEARNED, KNOWN = "isma", "known-physics"
REFERENCE = "nearest"
RULES = ("random", REFERENCE, "price")
_PRICES_S = (0.0, 30.0)
"""Prices on shares requested from other servers: the paper's algorithm has none."""


def study(
    scale: Scale, out: Path, on_progress: Callable[[compare.CompareProgress], None]
) -> tuple[pd.DataFrame, Figure]:
    """Compare all budgets of both planners, write `planner.csv` and a picture. Raises IsmaError."""
    names = {
        f"{policy}:budget={budget}" + (f":remote_price_s={price:g}" if price else ""): (
            policy,
            budget,
            price,
        )
        for policy in (LEARNED, KNOWN)
        for price in _PRICES_S
        for budget in scale.planner_budgets
    }
    scenario = files.load("paper", scale.world)
    plan = Plan(scenario, (*RULES, *names), tuple(range(scale.seeds)), {})
    compare.compare(plan, out / "compare", on_progress)
    run = Run.load(out / "compare")
    delays = {name: _delays(run, name) for name in plan.policies}
    rows = [_row(delays, name, *named) for name, named in names.items()]
    rows += [_row(delays, name, name, "", 0.0) for name in RULES]
    table = pd.DataFrame(rows)
    text = table.to_csv(index=False, lineterminator="\n", float_format="%.6g")
    write_atomically(out / "planner.csv", text.encode())
    return table, _draw(table, scale, out)


def _delays(run: Run, name: str) -> np.ndarray:
    return of_policy(run.seeds, name).sort_values("seed")["mean_s"].to_numpy(float)


def _row(
    delays: Mapping[str, np.ndarray], name: str, policy: str, budget: str, price: float
) -> dict[str, object]:
    low, high = interval(delays[name])
    above, least, most = paired_ratio(delays[name], delays[REFERENCE])
    return {
        "policy": policy,
        "budget": budget,
        "latent_steps": budget_of(budget).latent_steps if budget else 0,
        "remote_price_s": price,
        "mean_s": float(np.mean(delays[name])),
        "low_s": low,
        "high_s": high,
        "above_nearest": above,
        "above_low": least,
        "above_high": most,
    }


def _draw(table: pd.DataFrame, scale: Scale, out: Path) -> Figure:
    colours = {LEARNED: style.PURPLE, KNOWN: style.ORANGE}
    with style.theme():
        canvas = blank(4.0)
        panels = canvas.subplots(1, len(_PRICES_S), sharey=True)
        for axes, price in zip(panels, _PRICES_S, strict=True):
            for policy, colour in colours.items():
                of = table[(table["policy"] == policy) & (table["remote_price_s"] == price)]
                half = (of["high_s"] - of["low_s"]) / 2
                axes.errorbar(
                    of["latent_steps"], of["mean_s"], half, marker="o", color=colour, label=policy
                )
            for rule, dashes in zip(RULES, (":", "--", "-."), strict=True):
                mean_s = float(table.loc[table["policy"] == rule, "mean_s"].iloc[0])
                axes.axhline(mean_s, color=style.MUTED, linestyle=dashes, label=rule)
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(lambda steps, _: f"{steps:,.0f}")
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.set_xlabel("latent steps a decision")
            subtitle = (
                f"price on remote shares {price:g} s" if price else "no price, as in the paper"
            )
            style.title(axes, subtitle, "mean completion time (s); bars: 95 %")
        panels[0].legend(frameon=False, fontsize=8.5)
        caption = (
            f"preset paper, {scale.seeds} worlds of {scale.duration_s:g} s "
            f"({scale.warmup_s:g} s discarded), every server deciding by that budget throughout"
        )
        return save(Drawing("planner", "Learned and known models by budget", caption, canvas), out)

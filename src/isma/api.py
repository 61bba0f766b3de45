"""Functions for Python programs: everything that the command line does, without the terminal."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from isma.environments.network_env import NetworkEnv
from isma.evaluation.bounding import run_bound
from isma.evaluation.comparison import compare as comparison
from isma.evaluation.comparison.sequential_sampling import compare_until
from isma.evaluation.comparison.tables import Run
from isma.evaluation.conformance import suite
from isma.evaluation.conformance.rules import RuleVerdict
from isma.evaluation.explain import decision
from isma.evaluation.explain.explanation import Explanation
from isma.evaluation.plan import Plan
from isma.evaluation.report import page
from isma.evaluation.report.figures import gaps, learning
from isma.policies import defaults, registry
from isma.randomness import check_seeds
from isma.reproduction import run as reproduction
from isma.reproduction.result import Result
from isma.training import models, session
from isma.world import files
from isma.world.scenario import Scenario
from isma.world.vary import Vary, points


def load_scenario(
    source: str | Path | Mapping[str, Any], overrides: Mapping[str, Any] | None = None
) -> Scenario:
    """Load a preset, a TOML file or its tables, with fields overridden by name. Raises ScenarioError."""
    return files.load(source, overrides)


def compare(
    scenario: Scenario | str | Path,
    policies: Sequence[str] | None = None,
    seeds: int | Iterable[int] = 5,
    vary: Mapping[str, Sequence[Any]] | None = None,
    out: str | Path | None = None,
    on_progress: Callable[[comparison.CompareProgress], None] = lambda progress: None,
    p95_limit_s: float | None = None,
    until: float | None = None,
) -> Run:
    """Compare policies in the same worlds, write the folder with its report, and give its tables.

    Without policies all rules are run that can be.
    A number of seeds stands for 0, 1, ...; `vary` maps at most two fields to their values. With a
    `p95_limit_s` and `servers` varied the findings say how many servers keep 95 % of tasks within
    that time. With `until`, a share as 0.005, seeds are added until paired intervals are at most that
    much of the mean to either side, or 256 are run. Without
    `out` the folder is `runs/<scenario>-<digest>`; in a folder with runs of the same scenario only
    what is missing is run. Raises IsmaError.
    """
    varied = _varied(vary)
    loaded = _loaded(scenario, varied)
    plan = Plan(
        loaded,
        tuple(defaults.default_for(loaded) if policies is None else policies),
        check_seeds(range(seeds) if isinstance(seeds, int) else seeds),
        varied,
        p95_limit_s,
    )
    folder = Path(out) if out is not None else Path("runs") / plan.folder_name()
    if until is None:
        comparison.compare(plan, folder, on_progress, page.write)
    else:
        compare_until(plan, folder, until, on_progress, page.write)
    return Run.load(folder)


def bound(
    scenario: Scenario | str | Path,
    seeds: int | Iterable[int] = 1,
    policies: Sequence[str] = defaults.BESIDE_BOUND,
    vary: Mapping[str, Sequence[Any]] | None = None,
    foresight_s: Sequence[float] = (),
    out: str | Path | None = None,
    on_part: Callable[[str], None] = lambda part: None,
) -> list[run_bound.Reach]:
    """Bound the mean of any policy in the worlds 0, 1, ..., and run policies and foresight in them.

    With `out`, a table `bounds.csv` and, with two varied fields, a figure; what is there already is
    not run again. Raises IsmaError.
    """
    varied = _varied(vary)
    plan = run_bound.BoundPlan(
        _loaded(scenario, varied),
        tuple(policies),
        check_seeds(range(seeds) if isinstance(seeds, int) else seeds),
        varied,
    )
    folder = None if out is None else Path(out)
    found = run_bound.reach_all(plan, foresight_s, folder, on_part)
    if folder is not None:
        gaps.write(found, folder)
    return found


def explain(
    run: str | Path,
    user: int,
    time_s: float,
    policy: str | None = None,
    seed: int | None = None,
    point: int = 1,
    on_ticks: decision.OnTicks = lambda done, total: None,
) -> Explanation:
    """Why a user's service was sent where it was, by the first decision from a time on.

    In a folder that `compare` wrote; without a policy by `isma2`, `price` or else the run's first, in its
    first seed unless told; `point` counts the values of `vary` from 1. Raises IsmaError.
    """
    return decision.explain(Path(run), user, time_s, policy, seed, point, on_ticks)


def check_policy(name: str, scenario: Scenario | str | Path = "paper") -> list[RuleVerdict]:
    """Try every rule of the contract on the policy of that name. Raises IsmaError."""
    return suite.check(registry.get(name), _loaded(scenario))


def parallel_env(
    scenario: Scenario | str | Path = "paper",
    overrides: Mapping[str, Any] | None = None,
    flat: bool = False,
    rows: int | None = None,
) -> NetworkEnv:
    """All servers as agents of a PettingZoo environment (docs/environments.md). Raises IsmaError."""
    return NetworkEnv(scenario, overrides=overrides, flat=flat, rows=rows)


@dataclass(frozen=True)
class Training:
    """A finished training."""

    checkpoint: Path
    """The weights; their sidecar stands beside them."""
    metrics: Mapping[str, float]
    """Of the last round."""
    curve: Path
    """The metrics against the updates, as a picture."""

    @property
    def lines(self) -> list[str]:
        """The metrics in words."""
        return [f"{name} {value:.4g}" for name, value in self.metrics.items()]


def train(
    model: str,
    scenario: Scenario | str | Path | Sequence[Scenario | str | Path] = "paper",
    vary: Mapping[str, Sequence[Any]] | None = None,
    steps: int | None = None,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    on_progress: Callable[[session.Progress], None] = lambda progress: None,
) -> Training:
    """Train a model on worlds of one scenario or several, spread over the varied fields' values.

    A folder with the same training is gone on with, exactly from its last round. Raises IsmaError.
    """
    if out is not None:
        session.refuse_taken(Path(out))
    several = [scenario] if isinstance(scenario, Scenario | str | Path) else scenario
    varied = _varied(vary)
    loaded = [_loaded(one, varied) for one in several]
    scenarios = [point.scenario for one in loaded for point in points(one, varied)]
    learner = models.learner(model, scenarios, steps, options or {})
    config = models.config(model, scenarios, learner, seed, options or {})
    digest = hashlib.sha256(json.dumps(config).encode()).hexdigest()[:6]
    folder = Path(out) if out is not None else Path("runs") / f"{model}-{digest}"
    path = session.run(learner, config, seed, folder, on_progress)
    history = session.history(folder)
    return Training(path, history[-1], learning.draw(model, history, folder).png_path)


def reproduce(
    figure: str = "all",
    scale: str = "smoke",
    out: str | Path | None = None,
    on_progress: Callable[[reproduction.Progress], None] = lambda progress: None,
    scenario: str = "paper",
) -> tuple[Path, list[Result]]:
    """Run one of the paper's figures again, or all, and judge its claims; the folder and the results.

    `scenario` is what the figures vary: `paper`, or `paper-migration`, where moves cost.

    A folder with the same reproduction is completed, never run twice. Raises IsmaError.
    """
    names = list(reproduction.FIGURES) if figure == "all" else [figure]
    folder = Path(out) if out is not None else Path("runs") / _folder(scale, scenario)
    return folder, reproduction.reproduce(names, scale, folder, on_progress, scenario)


def planner(
    scale: str = "smoke",
    out: str | Path | None = None,
    on_progress: Callable[[reproduction.Progress], None] = lambda progress: None,
) -> tuple[Path, pd.DataFrame]:
    """Learned and known models of the paper's planner by budget, in closed loop; folder and table.

    A folder with the same study is completed, never run twice. Raises IsmaError.
    """
    folder = Path(out) if out is not None else Path("runs") / f"planner-{scale}"
    return folder, reproduction.planner_study(scale, folder, on_progress)


def budgets(
    scale: str = "smoke",
    out: str | Path | None = None,
    on_progress: Callable[[reproduction.Progress], None] = lambda progress: None,
) -> tuple[Path, pd.DataFrame]:
    """Set budgets of the paper's planner against each other; the folder and the table.

    Raises IsmaError.
    """
    folder = Path(out) if out is not None else Path("runs") / f"budgets-{scale}"
    return folder, reproduction.budgets_of(scale, folder, on_progress)


def _folder(scale: str, scenario: str) -> str:
    return f"reproduce-{scale}" + ("" if scenario == "paper" else f"-{Path(scenario).stem}")


def _loaded(scenario: Scenario | str | Path, varied: Vary = {}) -> Scenario:  # noqa: B006  # read only
    return scenario if isinstance(scenario, Scenario) else files.load(scenario, varied=varied)


def _varied(vary: Mapping[str, Sequence[Any]] | None) -> Vary:
    return {files.full_name(field): tuple(values) for field, values in (vary or {}).items()}

"""Functions for Python programs: everything that the command line does, without the terminal.

Each imports its implementation when it is called: a comparison waits neither for learners nor environments.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isma import notebook
from isma.errors import RunError, ScenarioError
from isma.errors import given as shown
from isma.evaluation.comparison import compare as comparison
from isma.evaluation.comparison import dispatch, merging
from isma.evaluation.comparison.engines import EngineChoice
from isma.evaluation.comparison.sequential_sampling import compare_until
from isma.evaluation.plan import Plan
from isma.evaluation.report.run import Run
from isma.evaluation.shard import Shard
from isma.policies import defaults, given
from isma.randomness import check_seeds
from isma.world import files
from isma.world.scenario import Scenario
from isma.world.vary import Vary, points

if TYPE_CHECKING:
    import pandas as pd

    from isma.environments.network_env import NetworkEnv
    from isma.evaluation.bounding.run_bound import Reach
    from isma.evaluation.conformance.rules import RuleVerdict
    from isma.evaluation.explain.explanation import Explanation
    from isma.reproduction.result import Result
    from isma.reproduction.run import Progress as ReproductionProgress
    from isma.training.session import Progress as TrainingProgress
    from isma.world.importers.make import ImportResult

World = Scenario | str | Path | Mapping[str, Any]
"""A scenario as it may be given: loaded, a preset's name, a TOML file, or its fields by name."""


def load_scenario(
    source: str | Path | Mapping[str, Any], overrides: Mapping[str, Any] | None = None
) -> Scenario:
    """Load a preset, a TOML file or its tables, with fields overridden by name. Raises ScenarioError."""
    return files.load(source, overrides)


def compare(
    scenario: World,
    policies: str | Iterable[given.Asked] | Mapping[str, given.Asked] | None = None,
    seeds: int | Iterable[int] = 5,
    vary: Mapping[str, Sequence[Any]] | None = None,
    out: str | Path | None = None,
    on_progress: Callable[[comparison.CompareProgress], None] | None = None,
    p95_limit_s: float | None = None,
    until: float | None = None,
    command: str = "",
    workers: int | None = None,
    engine: str = "threads",
) -> Run:
    """Compare policies in the same worlds, write the folder with its report, and give its tables.

    Policies are names, classes and objects, or a mapping from names of your own to those; without
    any all rules are run that can be. A scenario is a preset's name, a file, a mapping, or loaded.
    A number of seeds stands for 0, 1, ...; `vary` maps at most two fields to their values. With a
    `p95_limit_s` and `servers` varied the findings say how many servers keep 95 % of tasks within
    that time. With `until`, a share as 0.005, seeds are added until paired intervals are at most that
    much of the mean to either side, or 256 are run. Without
    `out` the folder is `runs/<scenario>-<digest>`; in a folder with runs of the same scenario only
    what is missing is run. The report shows `command` as the one that made it. `workers` threads compile
    and run, without it as many as cores; with an `engine`, as "ray:jobs=8", in each of its jobs
    (docs/engines.md). Raises IsmaError.
    """
    chosen = EngineChoice.parse(engine)
    plan = _plan(scenario, policies, seeds, vary, p95_limit_s)
    folder = _folder_of(plan, out)
    finish = lambda out: _write_page(out, command)  # noqa: E731
    with notebook.reported(on_progress, comparison.progress_words) as report:
        if until is None:
            dispatch.compare(plan, folder, report, finish, workers, chosen)
        else:
            compare_until(plan, folder, until, report, finish, workers, chosen)
    return Run.load(folder)


def compare_shard(
    scenario: World,
    shard: str,
    policies: str | Iterable[given.Asked] | Mapping[str, given.Asked] | None = None,
    seeds: int | Iterable[int] = 5,
    vary: Mapping[str, Sequence[Any]] | None = None,
    out: str | Path | None = None,
    on_progress: Callable[[comparison.CompareProgress], None] | None = None,
    p95_limit_s: float | None = None,
    workers: int | None = None,
) -> Path:
    """Compute one part of a comparison, as "2/8", and give its folder, which `merge` takes.

    All else is as in `compare`, and the same for every part. Raises IsmaError.
    """
    whole = _plan(scenario, policies, seeds, vary, p95_limit_s)
    plan = replace(whole, shard=Shard.parse(shard))
    with notebook.reported(on_progress, comparison.progress_words) as report:
        return comparison.compare(plan, _folder_of(plan, out), report, workers=workers)


def merge(
    folders: Iterable[str | Path],
    out: str | Path | None = None,
    policies: str | Iterable[given.Asked] | Mapping[str, given.Asked] | None = None,
    on_progress: Callable[[comparison.CompareProgress], None] | None = None,
    command: str = "",
) -> Run:
    """Put the shards of a comparison together: the files and tables of one run, and nothing simulated.

    Policies are those of the shards, and have to be given only where they are code of your own.
    Raises IsmaError where a shard is missing, not finished or of another run.
    """
    named = None if policies is None else given.named(policies)
    shards = merging.plans_in([Path(folder) for folder in folders], named)
    target = _folder_of(replace(shards[0][1], shard=None), out)
    with notebook.reported(on_progress, comparison.progress_words) as report:
        merging.merge(shards, target, report, lambda out: _write_page(out, command))
    return Run.load(target)


def _plan(
    scenario: World,
    policies: str | Iterable[given.Asked] | Mapping[str, given.Asked] | None,
    seeds: int | Iterable[int],
    vary: Mapping[str, Sequence[Any]] | None,
    p95_limit_s: float | None,
) -> Plan:
    varied = _varied(vary)
    loaded = _loaded(scenario, varied)
    named = given.named(defaults.default_for(loaded) if policies is None else policies)
    others = given.unregistered(named)
    return Plan(loaded, tuple(named), _seeds(seeds), varied, p95_limit_s, others)


def _folder_of(plan: Plan, out: str | Path | None) -> Path:
    return Path(out) if out is not None else Path("runs") / plan.folder_name()


def _write_page(folder: Path, command: str) -> None:
    from isma.evaluation.report import page
    from isma.watch import replays

    replays.write_page(folder)  # The report links to it.
    page.write(folder, command)


def bound(
    scenario: World,
    seeds: int | Iterable[int] = 1,
    policies: str | Sequence[str] = defaults.BOUND_POLICIES,
    vary: Mapping[str, Sequence[Any]] | None = None,
    foresight_s: Sequence[float] = (),
    out: str | Path | None = None,
    on_part: Callable[[str], None] = lambda part: None,
    engine: str = "threads",
) -> "list[Reach]":
    """Bound the mean of any policy in the worlds 0, 1, ..., and run policies and foresight in them.

    With `out`, a table `bounds.csv` and, with two varied fields, a figure; what is there already is
    not run again. An `engine`, as "ray:jobs=8", bounds worlds in its jobs (docs/engines.md), and needs
    `out`. Raises IsmaError.
    """
    from isma.evaluation.bounding import run_bound
    from isma.evaluation.comparison import bound_dispatch
    from isma.evaluation.report.figures import gaps

    chosen, varied = EngineChoice.parse(engine), _varied(vary)
    plan = run_bound.BoundPlan(
        _loaded(scenario, varied),
        tuple(given.split(policies) if isinstance(policies, str) else policies),
        _seeds(seeds),
        varied,
    )
    folder = None if out is None else Path(out)
    found = bound_dispatch.reach_all(plan, foresight_s, folder, on_part, chosen)
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
    on_ticks: Callable[[int, int], None] = lambda done, total: None,
) -> "Explanation":
    """Why a user's service was sent where it was, by the first decision from a time on.

    In a folder that `compare` wrote; without a policy by `isma2`, `price` or else the run's first, in its
    first seed by default; `point` counts the values of `vary` from 1. Raises IsmaError.
    """
    from isma.evaluation.explain import decision

    return decision.explain(Path(run), user, time_s, policy, seed, point, on_ticks)


def import_trace(
    source: str | Path,
    out: str | Path,
    sites: str | Path,
    kind: str = "csv",
    **options: Any,
) -> "ImportResult":
    """Make a scenario from recorded trajectories and a table of sites; `out` is the file to write.

    The report on the data is in `lines`, the scenario's file in `file`: `isma.compare(it.file)`.
    Options are those of `isma.world.importers.make.import_scenario`. Raises IsmaError.
    """
    from isma.world.importers.make import import_scenario  # Maps, which nothing else here needs.

    return import_scenario(kind, Path(source), Path(out), Path(sites), **options)


def check_policy(policy: given.Asked, scenario: World = "paper") -> "list[RuleVerdict]":
    """Try every rule of the contract on a policy: a name, a class or an object. Raises IsmaError."""
    from isma.evaluation.conformance import suite

    (made,) = given.named([policy]).values()
    return suite.check(given.made(made), _loaded(scenario))


def parallel_env(
    scenario: World = "paper",
    overrides: Mapping[str, Any] | None = None,
    flat: bool = False,
    rows: int | None = None,
) -> "NetworkEnv":
    """All servers as agents of a PettingZoo environment (docs/environments.md). Raises IsmaError."""
    from isma.environments.network_env import NetworkEnv

    if isinstance(scenario, Mapping):
        scenario = _loaded(scenario)
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
    scenario: World | Sequence[World] = "paper",
    vary: Mapping[str, Sequence[Any]] | None = None,
    steps: int | None = None,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    on_progress: Callable[["TrainingProgress"], None] | None = None,
) -> Training:
    """Train a model on worlds of one scenario or several, spread over the varied fields' values.

    A folder with the same training is gone on with, exactly from its last round. Raises IsmaError.
    """
    from isma.evaluation.report.figures import learning
    from isma.training import models, session

    if out is not None:
        session.refuse_taken(Path(out))
    several = [scenario] if isinstance(scenario, Scenario | str | Path | Mapping) else scenario
    varied = _varied(vary)
    loaded = [_loaded(one, varied) for one in several]
    scenarios = [point.scenario for one in loaded for point in points(one, varied)]
    learner = models.learner(model, scenarios, steps, options or {})
    config = models.config(model, scenarios, learner, seed, options or {})
    digest = hashlib.sha256(json.dumps(config).encode()).hexdigest()[:6]
    folder = Path(out) if out is not None else Path("runs") / f"{model}-{digest}"
    with notebook.reported(
        on_progress, lambda at: (at.label, at.done_steps, at.total_steps)
    ) as report:
        path = session.run(learner, config, seed, folder, report)
    history = session.history(folder)
    return Training(path, history[-1], learning.draw(model, history, folder).png_path)


def reproduce(
    figure: str = "all",
    scale: str = "smoke",
    out: str | Path | None = None,
    on_progress: Callable[["ReproductionProgress"], None] | None = None,
    scenario: str = "paper",
    models: str | Path | None = None,
) -> "tuple[Path, list[Result]]":
    """Run one of the paper's figures again, or all, and judge its claims; the folder and the results.

    `scenario` is what the figures vary: `paper`, or `paper-migration`, where moves cost. `models` is a
    folder of models that a reproduction of that scale has trained; without it they are trained first.

    A folder with the same reproduction is completed, never run twice. Raises IsmaError.
    """
    from isma.reproduction import run as reproduction

    names = list(reproduction.FIGURES) if figure == "all" else [figure]
    folder = Path(out) if out is not None else Path("runs") / _folder(scale, scenario)
    with notebook.reported(on_progress, lambda at: (at.label, at.done, at.total)) as report:
        given = None if models is None else Path(models)
        return folder, reproduction.reproduce(names, scale, folder, report, scenario, given)


def planner(
    scale: str = "smoke",
    out: str | Path | None = None,
    on_progress: Callable[["ReproductionProgress"], None] = lambda progress: None,
) -> "tuple[Path, pd.DataFrame]":
    """Learned and known models of the paper's planner by budget, in closed loop; folder and table.

    A folder with the same study is completed, never run twice. Raises IsmaError.
    """
    from isma.reproduction import run as reproduction

    folder = Path(out) if out is not None else Path("runs") / f"planner-{scale}"
    return folder, reproduction.planner_study(scale, folder, on_progress)


def budgets(
    scale: str = "smoke",
    out: str | Path | None = None,
    on_progress: Callable[["ReproductionProgress"], None] = lambda progress: None,
) -> "tuple[Path, pd.DataFrame]":
    """Set budgets of the paper's planner against each other; the folder and the table.

    Raises IsmaError.
    """
    from isma.reproduction import run as reproduction

    folder = Path(out) if out is not None else Path("runs") / f"budgets-{scale}"
    return folder, reproduction.budgets_of(scale, folder, on_progress)


def _folder(scale: str, scenario: str) -> str:
    return f"reproduce-{scale}" + ("" if scenario == "paper" else f"-{Path(scenario).stem}")


def _loaded(scenario: World, varied: Vary = {}) -> Scenario:  # noqa: B006  # read only
    return scenario if isinstance(scenario, Scenario) else files.load(scenario, varied=varied)


def _seeds(seeds: object) -> tuple[int, ...]:
    """Seeds of a number of worlds, or those given. Raises RunError."""
    if isinstance(seeds, str) or not isinstance(seeds, int | np.integer | Iterable):
        raise RunError(f"seeds must be a number of worlds or a list of seeds, got {shown(seeds)}")
    return check_seeds(seeds if isinstance(seeds, Iterable) else range(int(seeds)))


def _varied(vary: Mapping[str, Sequence[Any]] | None) -> Vary:
    """Fields by their full names with their values. Raises ScenarioError."""
    found = {}
    for field, values in (vary or {}).items():
        if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
            raise ScenarioError(
                f"vary: {field} must have a list of values, as [1, 2], got {shown(values)}"
            )
        found[files.full_name(field)] = tuple(values)
    return found

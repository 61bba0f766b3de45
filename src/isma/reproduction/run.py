"""Running a reproduction: train the models, compare them with strong rules, judge, draw.

Every result is kept in the folder once it is finished, so that an interrupted reproduction resumes from
there: trainings from their last round, comparisons from their last cell.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from isma.errors import RunError, unknown
from isma.evaluation.comparison import compare
from isma.evaluation.comparison.tables import Run, of_policy
from isma.evaluation.plan import Plan
from isma.evaluation.report import page as report
from isma.policies import registry
from isma.policies.learned.checkpoints import budget_of
from isma.policies.learned.latent_planner import LatentPlanner
from isma.reproduction import budgets, fig3, fig4, fig5, fig6, page, planner, plot
from isma.reproduction.claims import Delays, judged
from isma.reproduction.contenders import CONTENDERS, ModelTraining
from isma.reproduction.figure import PaperFigure
from isma.reproduction.result import Result
from isma.reproduction.scale import SCALES, Scale
from isma.storage import refuse_taken, write_atomically
from isma.training import models, session
from isma.world import files
from isma.world.vary import points

FIGURES = {one.FIGURE.name: one.FIGURE for one in (fig3, fig4, fig5, fig6)}
TRAININGS = {one.training.name: one.training for one in CONTENDERS}
STRONG = ("nearest", "price", "full-information")
"""References that the paper did not compare with either."""
_TRAINED, _COMPARED = "models", "compare"
"""Folders of trainings and of a figure's comparison."""
TRAINING_SEED = 1000
"""Apart from the seeds 0, 1, ... of the worlds that are reported on."""


@dataclass(frozen=True)
class Progress:
    """How far one part of a reproduction is."""

    label: str
    done: int
    total: int


Report = Callable[[Progress], None]


def reproduce(
    names: Sequence[str],
    scale: str,
    out: Path,
    on_progress: Report = lambda progress: None,
    scenario: str = "paper",
    given: Path | None = None,
) -> list[Result]:
    """Run these figures again, varying that scenario; tables, pictures, `claims.csv` and a page.

    `given` is a folder of models that such a reproduction has trained: then none is trained. Raises
    IsmaError, also for a model that was trained for other worlds or otherwise.
    """
    chosen, wanted = [_figure(name, scenario) for name in names], _scale(scale)
    for training in TRAININGS:
        session.refuse_taken(out / _TRAINED / training)
    for figure in chosen:
        refuse_taken(out / figure.name / _COMPARED, "config.toml", None, "run")
    checkpoints = {
        name: trained(wanted, scenario, training, out / _TRAINED / name, given, on_progress)
        for name, training in TRAININGS.items()
    }
    results = [_one(figure, wanted, checkpoints, out, on_progress) for figure in chosen]
    write_atomically(out / "claims.csv", page.claims_csv(results).encode())
    write_atomically(out / "reproduction.html", page.render(results).encode())
    return results


def budgets_of(scale: str, out: Path, on_progress: Report = lambda progress: None) -> pd.DataFrame:
    """Set budgets of the planner, on the shipped RLSM, and rules against each other. Raises IsmaError."""
    counts = {name: (budget_of(name), number) for name, number in _scale(scale).budgets.items()}
    isma = registry.get("isma")
    assert isinstance(isma, LatentPlanner)

    def show(label: str, done: int, total: int) -> None:
        on_progress(Progress(label, done, total))

    rules = {name: registry.get(name) for name in ("nearest", "price")}
    return budgets.study(files.load("paper"), isma, counts, rules, out, show)[0]


def planner_study(
    scale: str, out: Path, on_progress: Report = lambda progress: None
) -> pd.DataFrame:
    """Learned and known models by budget, in closed loop. Raises IsmaError."""

    def show(standing: compare.CompareProgress) -> None:
        label = standing.label.split(":remote")[0]
        on_progress(Progress(label, standing.done_ticks, standing.total_ticks))

    return planner.study(_scale(scale), out, show)[0]


def _scale(name: str) -> Scale:
    if name not in SCALES:
        raise RunError(unknown("scale", name, SCALES))
    return SCALES[name]


def _figure(name: str, scenario: str) -> PaperFigure:
    if name not in FIGURES:
        raise RunError(unknown("figure", name, [*FIGURES, "all", "budgets", "planner"]))
    return replace(FIGURES[name], base=scenario)


def _one(
    figure: PaperFigure, scale: Scale, trained: Mapping[str, Path], out: Path, on_progress: Report
) -> Result:
    folder = out / figure.name
    run, named = _compared(figure, scale, trained, folder / _COMPARED, on_progress)
    delays = _delays(figure, scale, run, named)
    findings = tuple(found for claim in figure.claims for found in judged(claim, delays))
    write_atomically(folder / f"{figure.name}.csv", _table(delays).encode())
    picture = plot.draw(figure, scale, delays, folder)
    return Result(figure, scale, delays, findings, picture)


def trained(
    scale: Scale,
    base: str,
    training: ModelTraining,
    folder: Path,
    given: Path | None,
    on_progress: Report,
) -> Path:
    """The model's checkpoint, trained over all x values of all figures, whichever are asked for."""
    scenarios = [
        point.scenario
        for figure in FIGURES.values()
        for point in points(replace(figure, base=base).scenario({}), {figure.field: figure.values})
    ]
    model = training.model
    options = {**scale.options.get(model, {}), **training.options}
    learner = models.learner(model, scenarios, scale.steps[model], options)
    config = models.config(model, scenarios, learner, TRAINING_SEED, options)
    if given is not None:
        path = given / training.name / f"{learner.frame.kind}.safetensors"
        models.refuse_other_training(path, config)
        return path

    def show(standing: session.Progress) -> None:
        on_progress(
            Progress(f"training {training.name}", standing.done_steps, standing.total_steps)
        )

    return session.run(learner, config, TRAINING_SEED, folder, show)


def _compared(
    figure: PaperFigure,
    scale: Scale,
    trained: Mapping[str, Path],
    folder: Path,
    on_progress: Report,
) -> tuple[Run, dict[str, str]]:
    """The comparison, and each policy's name in it."""
    named = {one.name: one.spec(trained[one.training.name], scale.budget) for one in CONTENDERS}
    named |= {policy: policy for policy in STRONG}
    plan = Plan(
        figure.scenario(scale.world),
        tuple(named.values()),
        tuple(range(scale.seeds)),
        {figure.field: _values(figure, scale)},
    )

    def show(standing: compare.CompareProgress) -> None:
        label = f"{figure.name}: {standing.label.split(':')[0]}"
        on_progress(Progress(label, standing.done_ticks, standing.total_ticks))

    compare.compare(plan, folder, show, report.write)
    return Run.load(folder), named


def _values(figure: PaperFigure, scale: Scale) -> tuple[str, ...]:
    return tuple(figure.values[index] for index in scale.points)


def _delays(figure: PaperFigure, scale: Scale, run: Run, named: dict[str, str]) -> Delays:
    values = _values(figure, scale)

    def of(policy: str) -> np.ndarray:
        rows = of_policy(run.seeds, policy)
        table = rows.pivot(index=figure.field, columns="seed", values="mean_s")
        return table.loc[list(values)].to_numpy(float)

    return Delays(values, {policy: of(name) for policy, name in named.items()})


def _table(delays: Delays) -> str:
    rows = [
        {"x": value, "policy": policy, "seed": seed, "mean_s": mean_s}
        for policy, table in delays.mean_s.items()
        for value, row in zip(delays.values, table, strict=True)
        for seed, mean_s in enumerate(row)
    ]
    return pd.DataFrame(rows).to_csv(index=False, lineterminator="\n")

"""What a Python program calls: the same as the command line, without the terminal."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from isma.evaluation import compare as comparison
from isma.evaluation import report
from isma.evaluation.plan import Plan
from isma.evaluation.tables import Run
from isma.policies import registry
from isma.world import files
from isma.world.scenario import Scenario


def load_scenario(source: str | Path, overrides: Mapping[str, Any] | None = None) -> Scenario:
    """Load a preset or a TOML file, with fields overridden by name. Raises ScenarioError."""
    return files.load(source, overrides)


def compare(
    scenario: Scenario | str | Path,
    policies: Sequence[str] = registry.DEFAULT,
    seeds: int | Iterable[int] = 5,
    vary: Mapping[str, Sequence[Any]] | None = None,
    out: str | Path | None = None,
    on_progress: Callable[[comparison.Progress], None] = lambda progress: None,
) -> Run:
    """Compare policies in the same worlds, write the folder with its report, and give its tables.

    A number of seeds stands for 0, 1, ...; `vary` maps at most two fields to their values. Without
    `out` the folder is `runs/<scenario>-<digest>`; a folder with the same run is completed, never
    run twice. Raises IsmaError.
    """
    loaded = scenario if isinstance(scenario, Scenario) else files.load(scenario)
    plan = Plan(
        loaded,
        tuple(policies),
        tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds),
        {files.full_name(field): tuple(values) for field, values in (vary or {}).items()},
    )
    folder = Path(out) if out is not None else Path("runs") / plan.folder_name()
    comparison.compare(plan, folder, on_progress)
    report.write(folder)
    return Run.load(folder)

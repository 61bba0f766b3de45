"""`isma compare`: simulate, tabulate, draw, explain."""

import re
from pathlib import Path
from typing import Annotated

import typer

from isma.cli.completion import complete_policies, complete_scenario
from isma.cli.output import JsonOption, QuietOption
from isma.cli.terminal import EngineOption, SetOption, named, overrides_of, seconds, seeds_of
from isma.errors import RunError
from isma.evaluation.comparison.precision import MOST_SEEDS
from isma.evaluation.shard import Shard
from isma.policies.defaults import DEFAULT, default_for
from isma.world import files
from isma.world.vary import vary_from

ScenarioOrRun = Annotated[
    str,
    typer.Argument(
        help="a preset's name, a TOML file, or the folder of a run to go on with",
        autocompletion=complete_scenario,
    ),
]
PoliciesOption = Annotated[
    str | None,
    typer.Option(
        "--policies",
        "-p",
        autocompletion=complete_policies,
        help="names separated by commas, with options as threshold:hops=3, or package.module:Class",
        show_default=f"{', '.join(DEFAULT)}; isma2 besides where moves cost",
    ),
]
SeedsOption = Annotated[
    str | None,
    typer.Option(
        "--seeds",
        "-n",
        metavar="N|A..B",
        help="worlds to run each policy in: how many, or which",
        show_default="5",
    ),
]
UntilOption = Annotated[
    str | None,
    typer.Option(
        metavar="SHARE",
        help=f"add seeds until paired intervals are that narrow, as 0.5%, or {MOST_SEEDS} are run",
    ),
]
VaryOption = Annotated[
    list[str] | None,
    typer.Option(metavar="FIELD=v1,v2,...", help="run at several values of a field; at most twice"),
]
P95LimitOption = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="with --vary servers=...: how many keep 95 % of tasks within it, as '60 s'",
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="threads that compile and run",
        show_default="as many as cores",
    ),
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        metavar="i/n",
        help="compute only the i-th of n parts, which isma merge puts together; 1/1 is the whole",
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        help="folder to write; one with runs of this scenario is gone on with, and says what is "
        "not typed",
        show_default="runs/NAME-DIGEST",
    ),
]


def compare(
    scenario: ScenarioOrRun,
    policies: PoliciesOption = None,
    seeds: SeedsOption = None,
    until: UntilOption = None,
    vary: VaryOption = None,
    set_: SetOption = None,
    p95_limit: P95LimitOption = None,
    workers: WorkersOption = None,
    engine: EngineOption = "threads",
    shard: ShardOption = None,
    out: OutOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Simulate, tabulate, draw, explain: which policy serves this city's users best, and by how much."""
    scenario, out = _of_folder(scenario, out)
    source = scenario if out is None or files.run_table(scenario) else out / "config.toml"
    again = (files.run_table(source) if Path(source).is_file() else None) or {}
    varied = vary_from(vary) if vary else again.get("vary", {})
    loaded = files.load(scenario, overrides_of(set_), varied)
    names = named(policies, again, str(source)) or list(default_for(loaded))
    worlds = seeds_of(seeds) or again.get("seeds", list(range(5)))
    limit_s = seconds(p95_limit, "--p95-limit") or again.get("p95_limit_s")
    share, typed = _share(until), again.get(files.SHARD, "1/1") if shard is None else shard
    part = Shard.parse(typed)
    if share is not None and part.of > 1:
        raise RunError(
            "--until needs all results of a run to go on, and --shard has some: drop one"
        )
    # What simulates and tabulates is imported once it is known what is asked.
    from isma.cli.comparison import run_and_print, shard_and_print

    asked = loaded, names, worlds, varied, limit_s, out
    if part.of == 1:
        run_and_print(*asked, share, quiet, json, workers, engine)
    elif engine != "threads":
        raise RunError(
            f"--shard is computed where it is typed, and not by --engine {engine}: drop one"
        )
    else:
        shard_and_print(*asked, str(part), quiet, json, workers)


def _of_folder(scenario: str, out: Path | None) -> tuple[str, Path | None]:
    """For a run's folder its file, and that folder to write to unless told. Raises RunError."""
    folder = Path(scenario)
    if scenario in files.scenario_names() or not folder.is_dir():
        return scenario, out
    if not (folder / "config.toml").is_file():
        raise RunError(f"{scenario} must hold a run to go on with, and has no config.toml")
    return str(folder / "config.toml"), folder if out is None else out


def _share(text: str | None) -> float | None:
    """A share as typed: 0.5% or 0.005. Raises RunError."""
    form = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*(%?)\s*", text or "")
    value = float(form[1]) / (100 if form[2] else 1) if form else 0.0
    if text is not None and not 0 < value < 1:
        raise RunError(f"--until must be a share between 0 and 1, as 0.5% or 0.005, got {text!r}")
    return value if text is not None else None

"""Commands of `python -m benchmarks`: speed in comparison with peers, and published results run again."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import (
    comparison,
    environments,
    forecasts,
    metropolis,
    odd_worlds,
    planner,
    replay_page,
    rules,
    simulator,
)
from benchmarks.published.commands import app as published
from isma.cli.progress import bar
from isma.errors import RunError
from isma.policies.learned.checkpoints import ISMA2, forecast_model_of

app = typer.Typer(
    help="Speed, with a peer beside it in the same run; published results, run again.",
    no_args_is_help=True,
    add_completion=False,
)
app.add_typer(published, name="published")
JsonOption = Annotated[bool, typer.Option("--json", help="figures as JSON")]


@app.command("simulator")
def bench_simulator(
    json: JsonOption = False,
    worlds: Annotated[
        str, typer.Option(metavar="N,...", help="sizes of the batches")
    ] = f"{simulator.WORLDS}",
) -> None:
    """Simulated user-steps a second on `paper`: one world, a batch, long runs, and a NumPy loop."""
    batches = _counts(worlds)
    with bar(Console(stderr=True)) as shown:
        task = shown.add_task("warming up", total=None)
        figures = simulator.measure(lambda label: shown.update(task, description=label), batches)
    typer.echo(simulator.as_json(figures) if json else simulator.as_text(figures))


@app.command("planner")
def bench_planner(json: JsonOption = False) -> None:
    """The paper's planner on RLSM: operations a second against bare matrix products and other libraries."""
    with bar(Console(stderr=True)) as shown:
        task = shown.add_task("laying out", total=None)
        rates = planner.measure(lambda label: shown.update(task, description=label))
    typer.echo(planner.as_json(rates) if json else planner.as_text(rates))


@app.command("environments")
def bench_environments(
    json: JsonOption = False,
    agents: Annotated[
        bool, typer.Option("--agents", help="only all servers as agents, and mobile-env")
    ] = False,
) -> None:
    """Environment steps a second on `paper`: one world, many, all servers as agents, and mobile-env."""
    with bar(Console(stderr=True)) as shown:
        task = shown.add_task("compiling", total=None)
        rates = environments.measure(
            lambda label: shown.update(task, description=label), only_agents=agents
        )
    typer.echo(environments.as_json(rates) if json else environments.as_text(rates))


@app.command("metropolis")
def bench_metropolis(
    json: JsonOption = False,
    out: Annotated[
        Path | None, typer.Option(help="draw it there too, as PNG or SVG by the name's end")
    ] = None,
    policy: Annotated[str, typer.Option(help="who decides")] = metropolis.POLICY,
) -> None:
    """A tick, a decision of all servers at once, and memory, from 1,000 to 100,000 users."""
    if out is not None:
        metropolis.picture_kind(out)  # A wrong name is refused before minutes of work, not after.
    with bar(Console(stderr=True)) as shown:
        task = shown.add_task("laying out", total=None)
        sizes = metropolis.measure(
            lambda label: shown.update(task, description=label), policy=policy
        )
    if out is not None:
        metropolis.draw(sizes, out)
    typer.echo(metropolis.as_json(sizes) if json else metropolis.as_text(sizes))


@app.command("peers")
def bench_peers(
    json: JsonOption = False,
    quick: Annotated[bool, typer.Option("--quick", help="200 steps only: minutes less")] = False,
) -> None:
    """Other simulators on the same users as ours: 200 and 2,000 steps, and features that each lacks."""
    lengths = comparison.STEPS[:1] if quick else comparison.STEPS
    with bar(Console(stderr=True)) as shown:
        task = shown.add_task("looking for peers", total=None)
        table = comparison.measure(lambda label: shown.update(task, description=label), lengths)
    typer.echo(comparison.as_json(table) if json else comparison.as_text(table))


@app.command("rules")
def bench_rules(
    json: JsonOption = False,
    large: Annotated[
        bool, typer.Option("--large", help="also 5,000 users and 300 servers")
    ] = False,
) -> None:
    """One decision for all servers at once by every rule: 40 users of 6 servers, 500 of 30; a NumPy loop."""
    sizes = (*rules.SIZES, rules.LARGE) if large else rules.SIZES
    with bar(Console(stderr=True)) as shown:
        task = shown.add_task("laying out", total=None)
        decisions = rules.measure(lambda label: shown.update(task, description=label), sizes)
    typer.echo(rules.as_json(decisions) if json else rules.as_text(decisions))


@app.command("replay-page")
def bench_replay_page(
    run: Annotated[
        Path | None, typer.Argument(help="a run's folder, for the first picture of its page")
    ] = None,
    json: JsonOption = False,
    tries: Annotated[int, typer.Option(min=1, help="first pictures to take")] = replay_page.TRIES,
    play_s: Annotated[
        float, typer.Option(min=0.5, help="how long each city plays")
    ] = replay_page.PLAY_S,
) -> None:
    """The replay's page in headless Chromium: first picture; frames a second of 500 and 10,000 users."""
    with bar(Console(stderr=True)) as shown:
        task = shown.add_task("opening", total=None)
        figures = replay_page.measure(
            run,
            tries=tries,
            play_s=play_s,
            on_step=lambda label: shown.update(task, description=label),
        )
    typer.echo(replay_page.as_json(figures) if json else replay_page.as_text(figures))


@app.command("forecast")
def bench_forecast(
    json: JsonOption = False,
    checkpoint: Annotated[
        Path | None, typer.Option(help="another model than the package's")
    ] = None,
) -> None:
    """Forecasts of isma2's model against last values, constant velocity and counted rates."""
    model = forecast_model_of(ISMA2 if checkpoint is None else checkpoint)
    with bar(Console(stderr=True)) as shown:
        task = shown.add_task("laying out", total=None)
        skills = forecasts.measure(model, lambda label: shown.update(task, description=label))
    typer.echo(forecasts.as_json(skills) if json else forecasts.as_text(skills))


@app.command("odd-worlds")
def bench_odd_worlds(
    json: JsonOption = False,
    count: Annotated[int, typer.Option(min=1, help="worlds to draw")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="another seed, other worlds")] = 0,
    seeds: Annotated[int, typer.Option(min=1, help="runs of each world")] = 2,
    policies: Annotated[str, typer.Option(metavar="NAME,...", help="what is compared")] = ",".join(
        odd_worlds.POLICIES
    ),
    out: Annotated[
        Path | None, typer.Option(help="also write each world as a scenario to this folder")
    ] = None,
) -> None:
    """Policies in worlds drawn at random: how much longer tasks take than under the best rule."""
    worlds = [odd_worlds.drawn(seed, number) for number in range(count)]
    if out is not None:
        odd_worlds.write(worlds, out)
    names = policies.split(",")
    with bar(Console(stderr=True)) as shown:
        task = shown.add_task("compiling", total=count * seeds * len(names))

        def on_batch(label: str, runs: int) -> None:
            shown.update(task, description=label, advance=runs)

        runs = list(odd_worlds.measure(worlds, range(seeds), names, on_batch))
    excess = odd_worlds.excess_of(runs)
    typer.echo(odd_worlds.as_json(runs, excess) if json else odd_worlds.as_text(excess))


@app.command("outlook", hidden=True)
def bench_outlook() -> None:
    """Former name of `forecast`. Raises RunError."""
    raise RunError("the benchmark outlook is now called forecast: python -m benchmarks forecast")


def _counts(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise RunError(f"--worlds must be whole numbers above 0 separated by commas, got {text!r}")
    return [int(part) for part in parts]

"""Commands of `python -m benchmarks published`: results of others, run again from a checkout of theirs."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import metropolis
from benchmarks.published import dracm, mango
from isma.cli.progress import bar
from isma.errors import RunError
from isma.policies import registry

app = typer.Typer(
    help="Published results of others, run again from a checkout of theirs.",
    no_args_is_help=True,
)
JsonOption = Annotated[bool, typer.Option("--json", help="figures as JSON")]
SourceOption = Annotated[Path, typer.Option(metavar="DIR", help="checkout of the repository")]
PoliciesOption = Annotated[str, typer.Option(metavar="NAME,...", help="policies of ours")]


@app.command("dracm")
def published_dracm(
    source: SourceOption,
    json: JsonOption = False,
    seed: Annotated[int, typer.Option(min=0, max=2**31, help="other draws")] = 0,
    policies: PoliciesOption = dracm.POLICIES,
    run_theirs: Annotated[
        int, typer.Option(min=0, metavar="TRACES", help="run the checkout's code too, on so many")
    ] = 0,
) -> None:
    """DRACM's San Francisco test: optimum, rules and our policies; images charged always, or when moving."""
    names = _policies(policies)
    with bar(Console(stderr=True)) as shown:
        task = shown.add_task("reading", total=None)
        found = dracm.measure(
            *(source, seed, names, run_theirs), lambda label: shown.update(task, description=label)
        )
    typer.echo(dracm.as_json(found) if json else dracm.as_text(found))


@app.command("mango")
def published_mango(
    source: SourceOption,
    json: JsonOption = False,
    trace: Annotated[int, typer.Option(min=0, max=1, help="1 is not the committed run's")] = 0,
    policies: PoliciesOption = mango.POLICIES,
    prices: Annotated[
        str, typer.Option(metavar="PRICE,...", help="of a move, in distance")
    ] = mango.PRICES,
    out: Annotated[
        Path | None, typer.Option(help="draw it there too, as PNG or SVG by the name's end")
    ] = None,
) -> None:
    """EdgeBus's cabs: moves against distance of the committed schedulers and of our policies."""
    kind = None if out is None else metropolis.picture_kind(out)
    names, of_a_move = _policies(policies), _prices(prices)
    with bar(Console(stderr=True)) as shown:
        task = shown.add_task("reading", total=None)
        found = mango.measure(
            *(source, trace, names, of_a_move),
            lambda label: shown.update(task, description=label),
        )
    if out is not None and kind is not None:
        mango.draw(found, out, kind)
    typer.echo(mango.as_json(found) if json else mango.as_text(found))


def _policies(text: str) -> list[str]:
    """Names of policies, each of which there is; none is made of anybody's code. Raises PolicyError."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        registry.get(name)
    return names


def _prices(text: str) -> list[float]:
    try:
        prices = [float(part) for part in text.split(",")]
    except ValueError:
        prices = []
    if not prices or not all(0 < price < 1e6 for price in prices):
        raise RunError(f"--prices must be numbers above 0 separated by commas, got {text!r}")
    return prices

"""`isma explain`: why was this user's service sent there?"""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from isma import api
from isma.cli.terminal import bar, policy_names, seconds
from isma.evaluation.explain.explanation import Explanation

_SHOWN = 8


def explain(
    run: Annotated[Path, typer.Argument(help="folder of a run that isma compare wrote")],
    user: Annotated[int, typer.Option(help="number of the user, from 0")],
    time: Annotated[
        str, typer.Option(metavar="TIME", help="the first decision from then on, as 12.3s")
    ],
    policy: Annotated[
        str | None,
        typer.Option(help="one of the run's", show_default="isma2, price, or else its first"),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="one of the run's", show_default="its first")
    ] = None,
    point: Annotated[int, typer.Option(help="which of the values of --vary, from 1")] = 1,
) -> None:
    """Why a service was sent where it was: what each server would have cost, and what came of it."""
    from_s = seconds(time, "--time", from_zero=True) or 0.0
    if policy is not None:
        policy_names(policy)
    with bar(Console(stderr=True)) as shown:
        task = shown.add_task("running the world again", total=None)

        def show(done: int, total: int) -> None:
            shown.update(task, completed=done, total=total)

        found = api.explain(run, user, from_s, policy, seed, point, show)
    _print_choices(found)
    for sentence in found.why:
        Console(width=100).print(f"- {sentence}", markup=False, highlight=False)


def _print_choices(found: Explanation) -> None:
    table = Table(title=f"user {found.user} at {found.time_s:.1f} s", title_justify="left")
    known = ("server", "hops", "load", "offloads", "own s", "others s", "later s")
    heads = (*known, "together s", "")
    for head in heads:
        table.add_column(head, justify="left" if not head else "right", no_wrap=True)
    shown = list(found.choices[:_SHOWN])
    shown += [c for c in found.choices[_SHOWN:] if c.server in (found.host, found.target)]
    for choice in shown:
        is_host, is_target = choice.server == found.host, choice.server == found.target
        table.add_row(
            str(choice.server),
            str(choice.hops),
            f"{choice.load:.2f}",
            f"{choice.offload_ratio:.0%}",
            *(f"{value:.4g}" for value in (choice.own_s, choice.others_s, choice.later_s)),
            f"{choice.cost_s:.4g}",
            ", ".join(["host"] * is_host + ["chosen"] * is_target),
        )
    Console(width=100).print(table)
    left_out = len(found.choices) - len(shown)
    if left_out:
        print(f"{left_out} dearer servers are not shown.")

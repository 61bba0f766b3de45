"""`isma explain`: why was this user's service sent there?"""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from isma import api
from isma.cli.output import (
    Column,
    JsonOption,
    QuietOption,
    print_json,
    print_lines,
    print_table,
)
from isma.cli.progress import bar
from isma.cli.terminal import policy_names, seconds
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
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Why a service was sent where it was: what each server would have cost, and what came of it."""
    from_s = seconds(time, "--time", from_zero=True) or 0.0
    if policy is not None:
        policy_names(policy)
    with bar(Console(stderr=True, quiet=quiet)) as shown:
        task = shown.add_task("running the world again", total=None)

        def show(done: int, total: int) -> None:
            shown.update(task, completed=done, total=total)

        found = api.explain(run, user, from_s, policy, seed, point, show)
    if json:
        print_json({**asdict(found), "why": found.why})
        return
    if not quiet:
        _print_choices(found)
    print_lines(found.why)


def _print_choices(found: Explanation) -> None:
    shown = list(found.choices[:_SHOWN])
    shown += [c for c in found.choices[_SHOWN:] if c.server in (found.host, found.target)]
    marks = [
        ", ".join(["host"] * (one.server == found.host) + ["chosen"] * (one.server == found.target))
        for one in shown
    ]
    columns = [
        Column("server", [str(one.server) for one in shown]),
        Column("hops", [str(one.hops) for one in shown], 1),
        Column("load", [f"{one.load:.2f}" for one in shown], 2),
        Column("offloads", [f"{one.offload_ratio:.0%}" for one in shown], 3),
        Column("own s", [f"{one.own_s:.4g}" for one in shown]),
        Column("others s", [f"{one.others_s:.4g}" for one in shown]),
        Column("later s", [f"{one.later_s:.4g}" for one in shown]),
        Column("together s", [f"{one.cost_s:.4g}" for one in shown]),
        Column("", marks, is_text=True),
    ]
    print_table(f"user {found.user} at {found.time_s:.1f} s", columns)
    left_out = len(found.choices) - len(shown)
    if left_out:
        print(f"{left_out} dearer servers are not shown.")

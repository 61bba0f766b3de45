"""`isma merge`: shards of a comparison become the run that they are parts of."""

from pathlib import Path
from typing import Annotated

import typer

from isma.cli.completion import complete_policies
from isma.cli.output import JsonOption, QuietOption
from isma.cli.terminal import policy_names

FoldersArgument = Annotated[
    list[Path], typer.Argument(help="folders that isma compare --shard wrote, all of one run")
]
PoliciesOption = Annotated[
    str | None,
    typer.Option(
        "--policies",
        "-p",
        autocompletion=complete_policies,
        help="the shards' policies again, where one is package.module:Class",
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="folder to write", show_default="runs/NAME-DIGEST"),
]


def merge(
    folders: FoldersArgument,
    policies: PoliciesOption = None,
    out: OutOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Put the shards of a comparison together: the files and report of one run; nothing is simulated."""
    names = None if policies is None else policy_names(policies)
    from isma.cli.comparison import merge_and_print

    merge_and_print(folders, out, names, quiet, json)

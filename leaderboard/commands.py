"""Commands of `python -m leaderboard`: its page, a row from a run, a row run again."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from isma.cli.progress import bar
from isma.errors import DataError, RunError, some, unknown
from isma.storage import write_atomically
from leaderboard import page as pages
from leaderboard import records, rerun, runs
from leaderboard.records import ABOUT, ENTRIES, ROOT, Entry, Track
from leaderboard.rerun import Agreement, Checked

app = typer.Typer(
    help="Policies of anybody in the same worlds: the page, a row from a run, a row run again.",
    no_args_is_help=True,
    add_completion=False,
)
EntryArgument = Annotated[
    Path, typer.Argument(help="an entry's name, or its folder with entry.toml", metavar="ENTRY")
]


RootOption = Annotated[
    Path,
    typer.Option(metavar="DIR", help="another leaderboard: a folder with tracks/ and entries/"),
]


@app.command("page")
def write_page(
    root: RootOption = ROOT,
    out: Annotated[Path, typer.Option(help="file to write")] = pages.FILE,
) -> None:
    """Generate the page from the tables."""
    tracks = records.read_tracks(root)
    text = pages.page(tracks, records.read_entries(tracks, root))
    write_atomically(out, text.encode())
    typer.echo(f"wrote {out}")


@app.command("enter")
def enter_run(
    run: Annotated[Path, typer.Argument(help="folder of `isma compare` on a track", metavar="RUN")],
    entry: EntryArgument,
    root: RootOption = ROOT,
) -> None:
    """Write an entry's table from a run of its policy on a track; nothing is simulated."""
    folder = _folder(entry, root)
    path = runs.enter(run, folder, records.read_about(folder).policy, records.read_tracks(root))
    typer.echo(f"wrote {path}")


@app.command("validate")
def validate_entry(
    entry: EntryArgument,
    track: Annotated[
        str | None, typer.Option(help="only this one", show_default="all of the entry")
    ] = None,
    worlds: Annotated[
        int, typer.Option(min=1, metavar="N", help="how many of each track, drawn anew each time")
    ] = 2,
    seeds: Annotated[
        str | None, typer.Option(metavar="SEED,...|all", help="which worlds, instead")
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            metavar="package.module:Class",
            help="the entry's policy: run this code, which I have read",
        ),
    ] = None,
    root: RootOption = ROOT,
) -> None:
    """Run an entry's rows again, and compare every number; a status that is not 0 where one differs.

    A policy of somebody's own code runs only if it is typed here, with your rights and in no sandbox.
    """
    tracks = records.read_tracks(root)
    read = records.read_entry(_folder(entry, root), tracks)
    rerun.refuse_untyped(read, policy)
    if track is not None and track not in read.tables:
        raise DataError(unknown("track of this entry", track, read.tables))
    wrong = []
    for name in read.tables if track is None else [track]:
        wrong += _validated(read, tracks[name], _worlds(tracks[name], seeds, worlds))
    if wrong:
        raise RunError(
            f"entry {read.name} is not confirmed ({some(wrong)}): make its tables anew with the present "
            "code, or leave it out"
        )
    typer.echo(f"entry {read.name} is confirmed in these worlds")


def _validated(entry: Entry, track: Track, seeds: tuple[int, ...]) -> list[str]:
    """Print what comes of an entry in some worlds of a track, and give what is wrong."""
    with bar(Console(stderr=True)) as shown:
        task = shown.add_task("compiling", total=1.0)
        checked = rerun.run_again(
            entry,
            track,
            seeds,
            lambda at: shown.update(task, completed=at.part, description=at.label),
        )
        broken = rerun.broken_rules(entry, track)
    for seed in seeds:
        typer.echo(_line(track.name, seed, [one for one in checked if one.seed == seed]))
    for line in broken:
        typer.echo(f"{track.name}: {line}")
    worlds = {one.seed for one in checked if one.agreement is Agreement.DIFFERENT}
    return [f"{track.name} world {seed}" for seed in sorted(worlds)] + [
        f"{track.name} {line}" for line in broken
    ]


def _line(track: str, seed: int, checked: list[Checked]) -> str:
    """Agreement in a world, by the number that agrees least."""
    order = list(Agreement)
    worst = max(checked, key=lambda one: (order.index(one.agreement), abs(one.ratio)))
    where = f"{track} world {seed}: {worst.agreement}"
    if worst.agreement is Agreement.IDENTICAL:
        return where
    return f"{where}: {worst.column} is {worst.committed:.6g} in the table and {worst.again:.6g} run again"


def _folder(entry: Path, root: Path) -> Path:
    """Folder of an entry that is named, or given as a path. Raises DataError."""
    for folder in (entry, root / ENTRIES / entry):
        if (folder / ABOUT).is_file():
            return folder
    known = [path.parent.name for path in (root / ENTRIES).glob(f"*/{ABOUT}")]
    raise DataError(unknown("entry", str(entry), known, f"a folder with {ABOUT}"))


def _worlds(track: Track, seeds: str | None, worlds: int) -> tuple[int, ...]:
    if seeds is None:
        return rerun.sample(track, worlds)
    if seeds == "all":
        return track.seeds
    parts = seeds.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise RunError(f"--seeds must be worlds separated by commas, or all, got {seeds!r}")
    return tuple(dict.fromkeys(int(part) for part in parts))

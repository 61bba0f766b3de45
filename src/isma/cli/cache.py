"""`isma cache`: the compiled programs that are kept from one command to the next."""

import os
import sys
import warnings

import typer

from isma import program_cache
from isma.errors import RunError
from isma.program_cache import CacheContents

app = typer.Typer(
    help="Compiled programs that are kept for the next command: where, how many, and how to remove them.",
    invoke_without_command=True,
    add_completion=False,
)
_OF_JAX = {
    "JAX_COMPILATION_CACHE_DIR": program_cache.XLA,
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
"""Settings of JAX's own cache, for everything but the programs of simulations."""
_MEGABYTE = 1e6


def keep_programs() -> None:
    """Set up the caches of compiled programs, or print one line on stderr why not; before JAX is imported."""
    folder = program_cache.cache_folder()
    if folder is None:
        return
    reason = program_cache.unusable(folder)
    if reason is not None:
        program_cache.turn_off()
        problem = f"{folder}: {reason}; {program_cache.VARIABLE} names another folder, or is off"
        print(f"isma: compiled programs are not kept: {problem}", file=sys.stderr)
        return
    # JAX warns of each damaged file, and compiles again.
    warnings.filterwarnings("ignore", message=".*persistent compilation cache.*")
    for name, value in _OF_JAX.items():
        os.environ.setdefault(name, str(folder / value) if value == program_cache.XLA else value)
    program_cache.prune(folder)


@app.callback()
def show(context: typer.Context) -> None:
    """Say where compiled programs are kept, and how many."""
    if context.invoked_subcommand is None:
        folder = program_cache.cache_folder()
        if folder is None:
            typer.echo(f"no programs are kept: {program_cache.VARIABLE} is off")
            return
        most = f"{program_cache.MOST_BYTES / _MEGABYTE:.0f} MB at most"
        typer.echo(f"{folder}\n{_size(program_cache.contents(folder))}; {most}")


@app.command()
def clear() -> None:
    """Remove all compiled programs; they are compiled again when they are needed."""
    folder = program_cache.cache_folder()
    if folder is None:
        raise RunError(f"there is no cache to clear: {program_cache.VARIABLE} is off")
    typer.echo(f"removed {_size(program_cache.clear(folder))}")


def _size(contents: CacheContents) -> str:
    return f"{contents.files} programs, {contents.bytes / _MEGABYTE:.1f} MB"

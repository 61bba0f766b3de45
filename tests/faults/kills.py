"""Commands killed before every change that they make to their folder, and run again."""

import shutil
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from faults.commands import Pool, Server
from faults.folders import leftovers, results
from faults.inputs import import_command, write_inputs
from faults.record import Counts, Record, drawn

SMALL = (
    "--set",
    "users.count=5",
    "--set",
    "sites.count=3",
    "--set",
    "warmup_s=2",
    "--set",
    "duration_s=10",
)
TRAINED = ("rounds=3", "worlds=2", "periods=3", "updates=4", "batch=4", "kept_rounds=2", "width=8")
OPTIONS = tuple(part for one in TRAINED for part in ("--option", one))


@dataclass(frozen=True)
class Killed:
    """A command that is killed, in a folder that may hold what an older one has left."""

    name: str
    arguments: tuple[str, ...]
    before: tuple[str, ...] = ()
    """What was run there before."""


COMMANDS = (
    Killed(
        "compare",
        ("compare", "paper", "--policies", "stay", "--seeds", "2", *SMALL, "--out", "run"),
    ),
    Killed("train", ("train", "dqn", *SMALL, *OPTIONS, "--out", "run")),
    Killed(
        "bound",
        ("bound", "paper", "--policies", "nearest", "--seeds", "2", *SMALL, "--out", "run"),
    ),
    Killed("import csv", import_command("csv")),
    Killed("import over another", import_command("csv"), import_command("csv of another trace")),
    Killed("import cabspotting", import_command("cabspotting")),
    Killed("import graphml", import_command("graphml")),
    Killed("import node-link over another", import_command("node-link"), import_command("graphml")),
)


@dataclass(frozen=True)
class Undisturbed:
    """What a command leaves where nothing happens."""

    command: Killed
    results: Mapping[str, bytes]
    older: Mapping[str, bytes]
    """What was there before."""
    changes: tuple[str, ...]
    """What it does to its folder, one by one."""


def undisturbed(server: Server, command: Killed, folder: Path) -> Undisturbed:
    """Run a command to its end; its results are to be the same however often it is killed."""
    _prepared(server, command, folder)
    older = results(folder)
    ended = server.run(command.arguments, folder, watch=True)
    assert ended.status == 0, ended.told
    changes = tuple(server.log.read_text().splitlines())
    return Undisturbed(command, results(folder), older, changes)


def killed(server: Server, whole: Undisturbed, at: int, folder: Path) -> list[str]:
    """What is wrong after a kill before change `at`, and after the same command once more."""
    _prepared(server, whole.command, folder)
    ended = server.run(whole.command.arguments, folder, kill_at=at)
    name = f"{whole.command.name}, killed before change {at} ({whole.changes[at - 1][-90:]})"
    if ended.status != -9:
        return [f"{name}: not killed, {ended.told}"]
    wrong = [f"{name}: {one}" for one in _half(whole, folder)]
    again = server.run(whole.command.arguments, folder, warm=True)
    if again.status != 0:
        wrong.append(f"{name}: then {again.told}")
    else:
        left, there = leftovers(folder), results(folder)
        wrong += [f"{name}: {path} is left over" for path in left]
        wrong += [f"{name}: {path} differs" for path in differing(whole.results, there)]
    shutil.rmtree(folder)
    return wrong


def every_kill(
    pool: Pool,
    scratch: Path,
    record: Record,
    commands: Sequence[Killed] = COMMANDS,
    times: int | None = None,
) -> Counts:
    """Kills of each command and what was wrong, by its name; before `times` of its changes if told."""
    wholes = pool.each(
        lambda server, command: undisturbed(server, command, scratch / f"whole {command.name}"),
        commands,
    )
    tried = [
        (whole, at)
        for whole in wholes
        for at in drawn(range(1, len(whole.changes) + 1), times, whole.command.name)
        if not record.has(whole.command.name, at)
    ]

    def one(server: Server, of: tuple[Undisturbed, int]) -> None:
        whole, at = of
        name = whole.command.name
        record.note(name, at, killed(server, whole, at, scratch / f"{name} {at}"))

    pool.each(one, tried)
    return record.counts()


def differing(wanted: Mapping[str, bytes], there: Mapping[str, bytes]) -> list[str]:
    """Files that are in one only, or not the same bytes."""
    return sorted(name for name in wanted | there if wanted.get(name) != there.get(name))


def _prepared(server: Server, command: Killed, folder: Path) -> None:
    folder.mkdir(parents=True)
    write_inputs(folder)
    if command.before:
        assert server.run(command.before, folder, warm=True).status == 0


def _half(whole: Undisturbed, folder: Path) -> list[str]:
    """What is half old and half new just after a kill: a scenario and the tables that it names."""
    path = folder / "made" / "o.toml"
    if not path.exists():
        return ["the older scenario is gone"] if whole.older else []
    there = results(folder)
    read = tomllib.loads(path.read_text())
    names = [
        "made/o.toml",
        *(
            f"made/{part['file']}"
            for part in read.values()
            if isinstance(part, dict) and "file" in part
        ),
    ]
    for tree in (whole.older, whole.results):
        if all(name in tree and there.get(name) == tree[name] for name in names):
            return []
    return ["a scenario and its tables are of two imports"]

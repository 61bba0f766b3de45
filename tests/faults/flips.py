"""One bit turned over in a file that isma has written: nothing is taken for what it is not.

A file that the same command writes again has to be what it was; any other is to be refused in a line
by the command that reads it.
"""

import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from faults.commands import Ended, Pool, Server
from faults.folders import leftovers, results
from faults.inputs import import_command, write_inputs
from faults.kills import OPTIONS, SMALL, differing
from faults.record import Counts, Record


@dataclass(frozen=True)
class Kind:
    """Files of one kind, and the command that has to notice a flipped bit in one of them."""

    name: str
    made_by: tuple[str, ...]
    files: str
    """A pattern below the folder in which `made_by` ran."""
    read_by: tuple[str, ...]
    together: bool = False
    """Whether a bit is turned over in all those files at once, since none keeps another from being read."""
    times: int = 40
    """How often, each time in other places."""


COMPARE = ("compare", "paper", "--policies", "nearest,stay", "--seeds", "2", *SMALL, "--out", "run")
TRAIN = ("train", "dqn", *SMALL, *OPTIONS, "--out", "run")
BOUND = ("bound", "paper", "--policies", "nearest", "--seeds", "2", *SMALL, "--out", "run")
USE = (
    "compare",
    "paper",
    "--policies",
    "dqn:checkpoint=run/dqn.safetensors",
    "--seeds",
    "1",
    *SMALL,
    "--out",
    "used",
)
_LOGS = ("cells.jsonl", "rounds.jsonl")
"""Logs of times, which nothing reads."""
CHECK = ("scenario", "check", "made/o.toml")

KINDS = (
    Kind("a run's cells", COMPARE, "run/cells/*", COMPARE, together=True, times=25),
    Kind(
        "a run's tables, figures and report", COMPARE, "run/[!c]*", COMPARE, together=True, times=20
    ),
    Kind("a run's config.toml", COMPARE, "run/config.toml", COMPARE, times=20),
    Kind("a bound's worlds and table", BOUND, "run/[!c]*", BOUND, together=True, times=30),
    Kind("a bound's config.toml", BOUND, "run/config.toml", BOUND, times=15),
    Kind("a training's state", TRAIN, "run/state.safetensors", TRAIN, times=60),
    Kind("a training's config.json", TRAIN, "run/config.json", TRAIN, times=20),
    Kind(
        "a training's metrics and weights",
        TRAIN,
        "run/[!sc]*",
        TRAIN,
        together=True,
        times=20,
    ),
    Kind("a checkpoint's weights", TRAIN, "run/dqn.safetensors", USE, times=60),
    Kind("a checkpoint's sidecar", TRAIN, "run/dqn.json", USE, times=60),
    Kind("an imported trace", import_command("csv"), "made/o*.trace.parquet", CHECK, times=80),
    Kind("imported sites", import_command("csv"), "made/o*.sites.csv", CHECK, times=80),
    Kind(
        "an imported backhaul",
        import_command("graphml"),
        "made/o*.backhaul.graphml",
        CHECK,
        times=80,
    ),
    Kind(
        "an imported backhaul, node-link",
        import_command("node-link"),
        "made/o*.backhaul.json",
        CHECK,
        times=60,
    ),
)


def every_flip(
    pool: Pool,
    scratch: Path,
    record: Record,
    kinds: Sequence[Kind] = KINDS,
    times: int | None = None,
) -> Counts:
    """Bits turned over in each kind of file and what went unnoticed, by the kind's name."""
    tried = [
        (kind, number)
        for kind in kinds
        for number in range(kind.times if times is None else min(times, kind.times))
        if not record.has(kind.name, number)
    ]
    makers = sorted({kind.made_by for kind, _ in tried})
    wholes = {command: scratch / f"whole{number}" for number, command in enumerate(makers)}
    pool.each(lambda server, command: _make(server, command, wholes[command]), makers)

    def one(server: Server, of: tuple[Kind, int]) -> None:
        kind, number = of
        folder = scratch / f"{kind.name} {number}"
        try:
            count, wrong = flipped(server, kind, number, wholes[kind.made_by], folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        record.note(kind.name, number, wrong, count)

    pool.each(one, tried)
    return record.counts()


def flipped(
    server: Server, kind: Kind, number: int, whole: Path, folder: Path
) -> tuple[int, list[str]]:
    """Turn bits over in a copy of a finished folder, run what reads them: how many, and what is wrong."""
    shutil.copytree(whole, folder)
    dice = random.Random(f"{kind.name} {number}")
    found = [path for one in folder.glob(kind.files) for path in (one, *one.rglob("*"))]
    paths = sorted({path for path in found if path.is_file() and path.stat().st_size})
    paths = [path for path in paths if path.name not in _LOGS]
    assert paths, f"no file is like {kind.files}"
    chosen = paths if kind.together else [dice.choice(paths)]
    places = {path: flip(path, dice) for path in chosen}
    ended = server.run(kind.read_by, folder, warm=True)
    told = ", ".join(f"{path.name} bit {bit}" for path, bit in places.items())
    return len(chosen), [
        f"{kind.name} ({told}): {one}" for one in _unnoticed(kind, ended, whole, folder)
    ]


def flip(path: Path, dice: random.Random) -> int:
    """Turn over one bit of a file; which."""
    content = bytearray(path.read_bytes())
    bit = dice.randrange(8 * len(content))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    return bit


def _unnoticed(kind: Kind, ended: Ended, whole: Path, folder: Path) -> list[str]:
    wrong = ended.wrong()
    if wrong is not None:
        return [f"{wrong}: {ended.told}"]
    if ended.status != 0:
        return []
    if kind.read_by != kind.made_by:
        return ["read as if nothing were wrong"]
    return [f"{path} differs" for path in differing(results(whole), results(folder))] + [
        f"{path} is left over" for path in leftovers(folder)
    ]


def _make(server: Server, command: tuple[str, ...], folder: Path) -> None:
    folder.mkdir(parents=True)
    write_inputs(folder)
    ended = server.run(command, folder, warm=True)
    assert ended.status == 0, ended.told

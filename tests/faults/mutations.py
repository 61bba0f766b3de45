"""Bad inputs of every format: each ends with success or in one line, in little memory and time."""

import gzip
import io
import random
import shutil
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from faults.commands import MOST_BYTES, MOST_S, STOPPED_S, Pool, Server
from faults.flips import COMPARE, TRAIN, USE
from faults.inputs import import_command, write_inputs
from faults.kills import SMALL
from faults.mutants import ODD_NUMBERS, ODD_WORDS, mutant
from faults.record import Counts, Record
from isma.model import checkpoint
from isma.storage import digest
from isma.world import files

Make = Callable[[Path, random.Random], tuple[str, ...]]
"""Writes a bad input into a folder that holds good ones, and gives the command that reads it."""


@dataclass(frozen=True)
class Format:
    """A kind of input, and how often it is tried."""

    name: str
    make: Make
    times: int
    before: tuple[tuple[str, ...], ...] = ()
    """What is run in the folder before, for what it leaves there."""


def every_mutation(
    pool: Pool,
    scratch: Path,
    kept: Path,
    record: Record,
    formats: Sequence[Format],
    times: int | None = None,
) -> Counts:
    """Bad inputs of each format and what went wrong; those that did are left in the folder `kept`."""
    tried = [
        (kind, number)
        for kind in formats
        for number in range(kind.times if times is None else times)
        if not record.has(kind.name, number)
    ]
    goods = {
        before: scratch / f"good{number}"
        for number, before in enumerate(sorted({kind.before for kind, _ in tried}))
    }
    pool.each(lambda server, before: _prepare(server, before, goods[before]), list(goods))

    def one(server: Server, of: tuple[Format, int]) -> None:
        kind, number = of
        folder = scratch / f"{kind.name} {number}"
        shutil.copytree(goods[kind.before], folder)
        arguments = kind.make(folder, random.Random(f"{kind.name} {number}"))
        ended = server.run(arguments, folder, most_bytes=MOST_BYTES, most_s=STOPPED_S, warm=True)
        wrong = ended.wrong(MOST_S)
        if wrong is None:
            shutil.rmtree(folder)
            record.note(kind.name, number, [])
            return
        kept.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(kept / folder.name, ignore_errors=True)
        shutil.move(folder, kept / folder.name)
        record.note(kind.name, number, [f"{kind.name} {number}: {wrong}: {ended.told}"])

    pool.each(one, tried)
    return record.counts()


def _prepare(server: Server, commands: Sequence[tuple[str, ...]], folder: Path) -> None:
    folder.mkdir(parents=True)
    write_inputs(folder)
    (folder / "inputs" / "paper.toml").write_text(_small_scenario())
    for command in commands:
        ended = server.run(command, folder, warm=True)
        assert ended.status == 0, ended.told


def _small_scenario() -> str:
    fields = {"users.count": 5, "sites.count": 3, "time.warmup_s": 2, "time.duration_s": 10}
    return files.dumps(files.load("paper", fields))


def _mutated(name: str, *arguments: str) -> Make:
    """Mutate a file of that name below the folder, as bytes."""

    def make(folder: Path, dice: random.Random) -> tuple[str, ...]:
        path = folder / name
        path.write_bytes(mutant(path.read_bytes(), dice))
        return arguments

    return make


def _tar(folder: Path, dice: random.Random) -> tuple[str, ...]:
    """Mutate an archive packed, or unpacked and packed again."""
    path = folder / "inputs" / "cabs.tar.gz"
    packed = path.read_bytes()
    if dice.random() < 0.3:
        path.write_bytes(mutant(packed, dice))
    else:
        path.write_bytes(gzip.compress(mutant(gzip.decompress(packed), dice), mtime=0))
    return import_command("cabspotting")


def _zip(folder: Path, dice: random.Random) -> tuple[str, ...]:
    """Mutate an archive packed, or one of the files in it."""
    path = folder / "inputs" / "cabs.zip"
    if dice.random() < 0.4:
        path.write_bytes(mutant(path.read_bytes(), dice))
    else:
        data = io.BytesIO()
        with zipfile.ZipFile(path) as held, zipfile.ZipFile(data, "w") as made:
            chosen = dice.choice(held.namelist())
            for name in held.namelist():
                content = held.read(name)
                made.writestr(name, mutant(content, dice) if name == chosen else content)
        path.write_bytes(data.getvalue())
    return _of("cabspotting", "inputs/cabs.zip")


def _checkpoint(folder: Path, dice: random.Random) -> tuple[str, ...]:
    """Mutate weights, and let the sidecar carry their digest, so that the weights are read."""
    path = folder / "run" / "dqn.safetensors"
    content = path.read_bytes()
    head = 8 + int.from_bytes(content[:8], "little")
    part = head if dice.random() < 0.7 else len(content)
    content = mutant(content[:part], dice) + content[part:]
    path.write_bytes(content)
    checkpoint.tell(path, checkpoint.about(path) | {"sha256": digest(content)})
    return USE


def _set(folder: Path, dice: random.Random) -> tuple[str, ...]:
    """Set one to three fields of a scenario to values of every kind."""
    names = files.field_names()
    parts = []
    for _ in range(dice.choice((1, 1, 2, 3))):
        parts += ["--set", f"{dice.choice(names)}={_value(dice)}"]
    command = dice.choice(
        (("scenario", "check", "paper"), ("scenario", "check", "inputs/paper.toml"))
    )
    return *command, *parts


def _arguments(folder: Path, dice: random.Random) -> tuple[str, ...]:
    """Give a command one value that it may not expect."""
    # A folder that is taken: values that are right end in a line too, before any work.
    small = (*SMALL, "--out", "inputs")
    commands = (
        ("compare", "paper", "--policies", "nearest", "--seeds", "1", *small),
        ("bound", "paper", "--policies", "nearest", "--foresight", "0", "--seeds", "1", *small),
        (*TRAIN[:-2], "--seed", "0", "--steps", "4", "--out", "inputs"),
        # A seed that was not run: what is right ends in a line here too, before any compiling.
        ("explain", "compared", "--user", "0", "--time", "5", "--seed", "9"),
        (
            "compare",
            "paper",
            "--policies",
            "threshold:hops=2",
            "--vary",
            "clock_hz=1e9,2e9",
            "--seeds",
            "1",
            *small,
        ),
        (
            "scenario",
            "import",
            "csv",
            "inputs/trace.csv",
            "--sites",
            "inputs/sites.csv",
            "--out",
            "made/o.toml",
            "--start",
            "2023-11-14T22:14:00Z",
            "--duration",
            "20 min",
            "--columns",
            "user_id,time_s,latitude,longitude",
        ),
        ("scenario", "show", "paper"),
        ("check-policy", "nearest", "--scenario", "inputs/paper.toml"),
        ("reproduce", "fig3", "--scale", "smoke", "--out", "inputs"),
        ("bench", "simulator"),
    )
    right = dice.choice(commands)
    words = list(right)
    places = [
        place
        for place in range(1, len(words))
        if words[place] not in SMALL and words[place - 1] != "--out"
    ]
    place = dice.choice(places)
    words[place] = _value(dice) if dice.random() < 0.7 else _near(words[place], dice)
    is_right = place != 1 or words[1] == right[1]
    if words[0] in ("check-policy", "reproduce", "bench") and is_right:
        words[1] = f"{words[1]}?"  # These take minutes where everything is right.
    return tuple(words)


def _value(dice: random.Random) -> str:
    units = ("", " s", " MB", " GHz", " km", " m/s", " min", "%")
    lists = ("1,2", "1,1", ",", "1,nan", "[1]", "{}", "a=b", "0,0,0", "true,false")
    kinds = (
        lambda: _text(dice.choice(ODD_NUMBERS)) + dice.choice(units),
        lambda: _text(dice.choice(ODD_WORDS)),
        lambda: f"{dice.choice((-1, 1)) * 10 ** dice.uniform(-12, 12):g}{dice.choice(units)}",
        lambda: str(dice.randrange(-3, 50)),
        lambda: dice.choice(lists),
    )
    return dice.choice(kinds)()


def _near(word: str, dice: random.Random) -> str:
    return _text(mutant(word.encode(), dice))


def _text(content: bytes) -> str:
    """What can be given on a command line: no NUL; bytes that are no text come as surrogates."""
    return content.replace(b"\0", b"").decode("utf-8", "surrogateescape")[:20_000]


def _of(kind: str, source: str) -> tuple[str, ...]:
    return tuple(
        source if part.startswith("inputs/cabs") else part for part in import_command(kind)
    )


_IMPORTED, _COMPARED = import_command("csv"), (*COMPARE[:-1], "compared")

FORMATS = (
    Format(
        "scenario TOML",
        _mutated("inputs/paper.toml", "scenario", "check", "inputs/paper.toml"),
        1000,
    ),
    Format(
        "a run's config.toml",
        _mutated("compared/config.toml", "scenario", "check", "compared/config.toml"),
        200,
        (_COMPARED,),
    ),
    Format(
        "an imported scenario's TOML",
        _mutated("made/o.toml", "scenario", "check", "made/o.toml"),
        500,
        (_IMPORTED,),
    ),
    Format("trace CSV", _mutated("inputs/trace.csv", *import_command("csv")), 1000),
    Format("sites CSV", _mutated("inputs/sites.csv", *import_command("csv")), 600),
    Format(
        "cab files", _mutated("inputs/cabs/new_u1.txt", *_of("cabspotting", "inputs/cabs")), 400
    ),
    Format("tar.gz of cab files", _tar, 400),
    Format("zip of cab files", _zip, 300),
    Format("GraphML", _mutated("inputs/net.graphml", *import_command("graphml")), 500),
    Format("node-link JSON", _mutated("inputs/net.json", *import_command("node-link")), 500),
    Format("checkpoint weights", _checkpoint, 120, (TRAIN,)),
    Format("checkpoint sidecar", _mutated("run/dqn.json", *USE), 120, (TRAIN,)),
    Format("fields on the command line", _set, 600),
    Format("arguments on the command line", _arguments, 300, (_COMPARED,)),
)
"""Every kind of input that the program reads."""

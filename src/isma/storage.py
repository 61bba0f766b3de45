"""Files that are whole or absent, whatever happens while they are written."""

import json
import os
import reprlib
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from isma.errors import RunError

_PARTIAL = ".partial"
_MOST_DIFFERENCES = 3


def claim(folder: Path, name: str, text: str, what: str) -> None:
    """Take a new folder for what the text in its file `name` says, or one that holds this very thing.

    Raises RunError for a folder that holds anything else; `what` is the word for it: run, training.
    The file is TOML or JSON, as its name says.
    """
    way_out = "give another folder with --out"
    path = folder / name
    try:
        if path.exists():
            held = path.read_bytes()
            if held != text.encode():
                differs = _differences(held, text.encode(), path.suffix)
                raise RunError(
                    f"{folder} holds another {what}{differs and f' ({differs})'}; {way_out}, or "
                    "remove that one"
                )
            return
        if folder.exists() and (not folder.is_dir() or _holds_something(folder)):
            raise RunError(f"{folder} is not empty and holds no {what}; {way_out}")
    except OSError as error:
        raise RunError(f"{folder}: cannot be used: {error.strerror}; {way_out}") from None
    write_atomically(path, text.encode())


def write_atomically(path: Path, content: bytes) -> None:
    """Put a file in place at once; a failure leaves what was there. Raises RunError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name}.", suffix=_PARTIAL
        )
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(
                    file.fileno()
                )  # Replaced before it is on the disk, it could be found empty.
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror or error}") from None


def _differences(held: bytes, wanted: bytes, suffix: str) -> str:
    """In what two files differ, the first few fields in words; empty where one cannot be read."""
    parse = tomllib.loads if suffix == ".toml" else json.loads
    try:
        there, here = (dict(_leaves(parse(text.decode()))) for text in (held, wanted))
    except ValueError:
        return ""
    names = [name for name in here | there if here.get(name) != there.get(name)]
    told = [
        f"{name} is {_shown(there, name)} there and {_shown(here, name)} here"
        for name in names[:_MOST_DIFFERENCES]
    ]
    more = len(names) - len(told)
    return "; ".join([*told, *([f"more that differ: {more}"] if more else [])])


def _leaves(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _shown(fields: dict[str, Any], name: str) -> str:
    return reprlib.repr(fields[name]) if name in fields else "absent"


def _holds_something(folder: Path) -> bool:
    """Whether a folder has anything in it but what a killed write has left."""
    return any(path.suffix != _PARTIAL for path in folder.iterdir())

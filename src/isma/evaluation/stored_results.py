"""Stored results of a run's folder: each carries its key, and is used for no other.

A result is named by its key, a digest of all that decides it (`isma.evaluation.keys`). The key stands
in the file too, which is sealed. A file that is damaged, or another's, is reported and made again.
"""

import io
import json
import logging
import zipfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from isma.evaluation.cell import Cell
from isma.storage import BLANK, is_intact, sealed, write_atomically

_LOG = logging.getLogger(__name__)
_NAME = 20
"""Characters of a key that a file's name has."""


def cell_path(out: Path, key: str) -> Path:
    """Where a run keeps the cell of that key."""
    return out / "cells" / f"{key[:_NAME]}.npz"


def value_path(folder: Path, key: str) -> Path:
    """Where a folder keeps the number of that key."""
    return folder / f"{key[:_NAME]}.json"


def save_cell(path: Path, key: str, made: Cell) -> None:
    """Write a cell as an archive whose comment is key and seal. Raises RunError."""
    buffer = io.BytesIO()
    np.savez(buffer, **{field.name: getattr(made, field.name) for field in fields(made)})
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = key.encode() + BLANK
    write_atomically(path, sealed(buffer.getvalue()))


def load_cell(path: Path, key: str) -> Cell | None:
    """The cell in that file, if it is the one of that key and whole."""
    content = _read(path)
    if content is None:
        return None
    seal = content[-len(BLANK) :].decode(errors="replace")
    if content[: -len(BLANK)].endswith(key.encode()) and is_intact(content, seal):
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            return Cell(**{field.name: stored[field.name] for field in fields(Cell)})
    return _refused(path)


def save_value(path: Path, key: str, value: Any) -> None:
    """Write a number, or a JSON value. Raises RunError."""
    text = json.dumps({"key": key, "value": value, "sha256": BLANK.decode()}) + "\n"
    write_atomically(path, sealed(text.encode()))


def load_value(path: Path, key: str) -> Any | None:
    """The value in that file, if it is the one of that key and whole."""
    content = _read(path)
    if content is None:
        return None
    try:
        tree = json.loads(content)
        if tree["key"] == key and is_intact(content, tree["sha256"]):
            return tree["value"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    return _refused(path)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _refused(path: Path) -> None:
    _LOG.warning("%s is damaged or another result's: made again", path)

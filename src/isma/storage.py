"""Files that are whole or absent, whatever happens while they are written."""

import os
import tempfile
from pathlib import Path

from isma.errors import RunError

_PARTIAL = ".partial"


def claim(folder: Path, name: str, text: str, what: str) -> None:
    """Take a new folder for what the text in its file `name` says, or one that holds this very thing.

    Raises RunError for a folder that holds anything else; `what` is the word for it: run, training.
    """
    way_out = "give another folder with --out"
    path = folder / name
    try:
        if path.exists():
            if path.read_bytes() != text.encode():
                raise RunError(f"{folder} holds another {what}; {way_out}, or remove that one")
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


def _holds_something(folder: Path) -> bool:
    """Whether a folder has anything in it but what a killed write has left."""
    return any(path.suffix != _PARTIAL for path in folder.iterdir())

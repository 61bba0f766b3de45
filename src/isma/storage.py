"""Files that are whole or absent, whatever happens while they are written."""

import os
import tempfile
from pathlib import Path

from isma.errors import RunError

_PARTIAL = ".partial"


def holds_something(folder: Path) -> bool:
    """Whether a folder has anything in it but what a killed write has left."""
    return any(path.suffix != _PARTIAL for path in folder.iterdir())


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

"""Seal of a finished run: digests of its folder, so that it is opened again without computing anything."""

import hashlib
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from isma import sources
from isma.evaluation import stored_results
from isma.storage import digest

_TIMES = "times"
_CHANGES = (f"{_TIMES}/cells.jsonl", ".lock")
"""Files that may change in a finished run."""
_WRITTEN_BY = (
    "isma.evaluation.comparison.table_writer",
    "isma.evaluation.comparison.wall_times",
    "isma.evaluation.report.page",
    "isma.watch.replays",
)
_WRITTEN_WITH = ("pandas", "pyarrow", "matplotlib", "jinja2")


def run_key(results: Mapping[str, Any]) -> str:
    """Key of all files of a run: its results' keys, and the code that makes tables and figures from them."""
    identity = {
        "results": results,
        "code": sources.of_isma(*_WRITTEN_BY),
        "versions": {name: version(name) for name in _WRITTEN_WITH},
    }
    return digest(repr(sorted(identity.items())).encode())


def is_finished(out: Path, key: str) -> bool:
    """Whether a folder holds the run of that key, and every file is the one that was written."""
    path = stored_results.value_path(out / _TIMES, key)
    digests = stored_results.load_value(path, key)
    return isinstance(digests, dict) and digests == dict(_digests(out, path))


def seal(out: Path, key: str) -> None:
    """Write the digests of a finished run's folder. Raises RunError."""
    path = stored_results.value_path(out / _TIMES, key)
    stored_results.save_value(path, key, dict(_digests(out, path)))


def _digests(out: Path, own: Path) -> Iterator[tuple[str, str]]:
    """Digests of all files but that of the seal itself."""
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        if path != own and name not in _CHANGES and path.is_file():
            with path.open("rb") as file:
                yield name, hashlib.file_digest(file, "sha256").hexdigest()

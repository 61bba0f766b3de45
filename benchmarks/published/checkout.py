"""Checkout of a repository that somebody else published: its files, and the commit it stands at."""

import subprocess
from pathlib import Path

from isma.errors import DataError, given

SIZE_MOST = 64 * 1024**2
"""Bytes of a file that are read at most."""


def file_of(source: Path, name: str, repository: str) -> Path:
    """Path of a file of a checkout. Raises DataError where it is not there or too large."""
    path = source / name
    if not path.is_file():
        raise DataError(
            f"--source must be a checkout of {repository}, with {name} in it, got {given(source)}"
        )
    if path.stat().st_size > SIZE_MOST:
        raise DataError(
            f"{name} must have at most {SIZE_MOST:,} bytes, got {path.stat().st_size:,}"
        )
    return path


def commit_of(source: Path) -> str:
    """Commit of a checkout, shortened; `unknown` where the folder is none."""
    if not (source / ".git").exists():  # Git would look for a checkout around it.
        return "unknown"
    asked = ["git", "-C", str(source), "rev-parse", "--short=8", "HEAD"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() or "unknown"

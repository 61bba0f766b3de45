"""What a command has left in its folder."""

from pathlib import Path

TIMES = "times"
"""The folder for what a clock has measured: the one thing that differs from run to run."""


def results(folder: Path) -> dict[str, bytes]:
    """Every file below a folder but its inputs and its times, as bytes."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not _is_left_over(path) and not {TIMES, "inputs"} & set(path.parts)
    }


def leftovers(folder: Path) -> list[str]:
    """Files and folders that only a write under way should have."""
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if _is_left_over(path)]


def _is_left_over(path: Path) -> bool:
    return path.suffix == ".partial" or any(part.startswith(".import-") for part in path.parts)

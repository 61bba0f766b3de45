"""What a command has left in its folder."""

import json
from contextlib import suppress
from pathlib import Path

TIMINGS = ("wall_s", "user_steps_per_s", "decision_ms_p50", "decision_ms_p99")


def results(folder: Path) -> dict[str, bytes]:
    """Every file below a folder but its inputs, as bytes; what was timed is left out."""
    return {
        str(path.relative_to(folder)): content(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not _is_left_over(path) and "inputs" not in path.parts
    }


def content(path: Path) -> bytes:
    """A file's bytes, without what was timed."""
    held = path.read_bytes()
    if path.name == "metrics.jsonl":
        with suppress(ValueError):
            lines = [json.loads(line) for line in held.decode().splitlines()]
            kept = [{k: v for k, v in line.items() if k not in TIMINGS} for line in lines]
            return "\n".join(sorted(map(json.dumps, kept))).encode()
    return held


def leftovers(folder: Path) -> list[str]:
    """Files and folders that only a write under way should have."""
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if _is_left_over(path)]


def _is_left_over(path: Path) -> bool:
    return path.suffix == ".partial" or any(part.startswith(".import-") for part in path.parts)

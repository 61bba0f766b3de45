"""Summary of a run from agents' logs."""

import json
import math
from collections.abc import Iterable
from pathlib import Path


def downtimes_ms(logs: Iterable[Path]) -> list[float]:
    """Of each migration, the time from the service's stop at the source to its run at the target, rising.

    Agents on one machine share its monotonic clock.
    """
    stopped_s: dict[tuple[str, int], float] = {}
    runs_s: dict[tuple[str, int], float] = {}
    for log in logs:
        for line in log.read_text().splitlines():
            if not line.startswith("{"):
                continue
            record = json.loads(line)
            if record["event"] == "freeze":
                place = record["context"], record["epoch"] + 1
                stopped_s[place] = max(record["monotonic_s"], stopped_s.get(place, 0.0))
            elif record["event"] == "called" and record["call"] == "Run":
                runs_s.setdefault((record["context"], record["epoch"]), record["monotonic_s"])
    return sorted(
        1_000 * (runs_s[place] - stopped_s[place]) for place in runs_s if place in stopped_s
    )


def percentile(rising: list[float], part: float) -> float:
    """The value that `part` percent do not pass, with one decimal; 0 of nothing."""
    if not rising:
        return 0.0
    return round(rising[max(math.ceil(len(rising) * part / 100) - 1, 0)], 1)

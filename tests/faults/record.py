"""Outcomes of tries, a line each as soon as it is known: a run that was ended goes on where it was."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import TypeVar

T = TypeVar("T")

Counts = dict[str, tuple[int, list[str]]]
"""How often each kind was tried, and what was wrong, by its name."""


class Record:
    """Tries that are done, in a file of JSON lines; in memory alone where no file is named."""

    def __init__(self, path: Path | None = None) -> None:
        self._path, self._lock = path, Lock()
        lines = path.read_text().splitlines() if path is not None and path.exists() else ()
        self._done = {(one["kind"], one["of"]): one for one in map(json.loads, lines)}

    def has(self, kind: str, of: object) -> bool:
        """Whether that one of a kind's tries is done."""
        return (kind, str(of)) in self._done

    def note(self, kind: str, of: object, wrong: Sequence[str], count: int = 1) -> None:
        """Keep what was wrong in a try that makes `count` faults at once."""
        one = {"kind": kind, "of": str(of), "count": count, "wrong": list(wrong)}
        with self._lock:
            self._done[kind, str(of)] = one
            if self._path is not None:
                with self._path.open("a") as lines:
                    lines.write(f"{json.dumps(one)}\n")

    def counts(self) -> Counts:
        """The sum of the tries of each kind, in the order in which they were first done."""
        counts: Counts = {}
        for one in self._done.values():
            count, wrong = counts.get(one["kind"], (0, []))
            counts[one["kind"]] = count + one["count"], wrong + one["wrong"]
        return counts


def drawn(items: Sequence[T], times: int | None, name: str) -> list[T]:
    """The items in an order drawn by the name, the first `times` of them if told: more go on from fewer."""
    order = random.Random(name).sample(items, len(items))
    return order if times is None else order[:times]

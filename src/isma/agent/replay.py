"""Replay of recorded decisions: the policies decide again, and their actions must be equal bit for bit.

python -m isma.agent.replay state/a/decisions.jsonl --scenario paper
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from isma.agent.situation import Recorded
from isma.agent.worker import brains_of, proposed
from isma.errors import IsmaError, RunError


def main() -> int:
    """Print the number of decisions that differ; the status is 1 if any does."""
    parser = argparse.ArgumentParser(prog="python -m isma.agent.replay", description=__doc__)
    parser.add_argument("record", type=Path)
    parser.add_argument("--scenario", default="paper")
    asked = parser.parse_args()
    try:
        total, differ = replay(asked.record, asked.scenario)
    except IsmaError as error:
        print(f"isma: {error}", file=sys.stderr)
        return 1
    print(f"{total} proposals asked again, {differ} differ")
    return 1 if differ else 0


def replay(record: Path, scenario: str) -> tuple[int, int]:
    """Number of proposals in a record, and of those that differ now. Raises RunError, PolicyError.

    The record is one process's, from its start: memories start empty.
    """
    recorded = list(_lines(record))
    names = [proposal.policy for proposal in recorded[0].proposals] if recorded else []
    brains = brains_of(names, scenario) if names else []
    total, differ = 0, 0
    for one in recorded:
        for brain, before in zip(brains, one.proposals, strict=True):
            total += 1
            differ += proposed(brain, one.situation) != before
    return total, differ


def _lines(record: Path) -> Iterator[Recorded]:
    try:
        for line in record.read_bytes().splitlines():
            yield msgspec.json.decode(line, type=Recorded)
    except OSError as error:
        raise RunError(f"{record}: cannot be read: {error.strerror or error}") from None
    except msgspec.DecodeError as error:
        raise RunError(f"{record} must be an agent's decisions.jsonl: {error}") from None


if __name__ == "__main__":
    sys.exit(main())

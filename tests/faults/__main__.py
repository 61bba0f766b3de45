"""Try faults, note each as it ends, and print the table of docs/faults.md from what is noted.

What is noted below `--out` is not tried again there: a run that was stopped goes on, and parts of it
can be run one by one.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from faults import flips, interrupts, kills, mutations, pairs
from faults.commands import Pool
from faults.page import PROMISES, Row, as_table
from faults.record import Counts, Record, drawn

T = TypeVar("T")


def main() -> int:
    """Run what is asked for; the status is 1 where anything was not as promised."""
    parser = _parser()
    asked = parser.parse_args()
    if not set(asked.parts) <= set(PROMISES):
        parser.error(f"parts must be of {', '.join(PROMISES)}")
    out = asked.out.resolve()
    scratch = out / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    records = {part: Record(out / f"{part}.jsonl") for part in PROMISES}
    pool = Pool(scratch / "servers", out / "compiled", asked.workers)
    parts = _parts(asked, out, records, pool)
    for part in asked.parts or parts:
        began = time.monotonic()
        parts[part](scratch / part)
        print(f"{part}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    pool.close()
    shutil.rmtree(scratch)
    counted = {part: record.counts() for part, record in records.items()}
    rows = [
        Row(part, kind, count, len(wrong))
        for part, counts in counted.items()
        for kind, (count, wrong) in counts.items()
    ]
    wrong = [one for counts in counted.values() for _, said in counts.values() for one in said]
    print("".join(f"{one}\n" for one in wrong), end="")
    print(as_table(rows))
    return 1 if wrong else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", help=f"of {', '.join(PROMISES)}; all of them unless told"
    )
    parser.add_argument("--only", nargs="+", help="commands, kinds or formats of the part, by name")
    parser.add_argument("--times", type=int, help="at most so many of each")
    parser.add_argument("--workers", type=int, default=2, help="processes at a time; pairs need 2")
    parser.add_argument("--out", type=Path, default=Path("runs/faults"))
    return parser


def _parts(
    asked: argparse.Namespace, out: Path, records: dict[str, Record], pool: Pool
) -> dict[str, Callable[[Path], Counts]]:
    """Each part as a function of the folder that it works in."""

    def some(of: Iterable[T], name: Callable[[T], str]) -> list[T]:
        return [one for one in of if not asked.only or name(one) in asked.only]

    def those(of: Sequence[float], name: str) -> list[float]:
        return sorted(drawn(of, asked.times, name))

    commands = some(kills.COMMANDS, lambda one: one.name)
    interrupted = some(interrupts.COMMANDS, interrupts.name_of)
    return {
        "kills": lambda folder: kills.every_kill(
            pool, folder, records["kills"], commands, asked.times
        ),
        "flips": lambda folder: flips.every_flip(
            pool, folder, records["flips"], some(flips.KINDS, lambda one: one.name), asked.times
        ),
        "mutations": lambda folder: mutations.every_mutation(
            pool,
            folder,
            out / "kept",
            records["mutations"],
            some(mutations.FORMATS, lambda one: one.name),
            asked.times,
        ),
        "interrupts": lambda folder: interrupts.every_interrupt(
            folder,
            out / "compiled",
            records["interrupts"],
            interrupted,
            those(interrupts.MOMENTS_S, "moments"),
            asked.workers,
        ),
        "pairs": lambda folder: pairs.every_pair(
            pool, folder, records["pairs"], commands, those(pairs.APART_S, "gaps")
        ),
    }


if __name__ == "__main__":
    sys.exit(main())

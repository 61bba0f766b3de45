"""Play many seeds of the ownership protocol and print what was tried and what went wrong."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable
from multiprocessing import Pool

from agent.simulation.bugs import BUGS
from agent.simulation.run import Played, played

_AT_ONCE = 200


def main() -> int:
    """Play what is asked for; the status is 1 where an invariant was broken or a bug was not found."""
    parser = argparse.ArgumentParser(prog="python -m agent.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--bugs", action="store_true", help="first seed that shows each planted bug"
    )
    asked = parser.parse_args()
    return _bugs(asked.seeds) if asked.bugs else _seeds(asked.first, asked.seeds, asked.workers)


def _seeds(first: int, seeds: int, workers: int) -> int:
    began = time.monotonic()
    total, wrong = Counter(), []
    with Pool(workers) as pool:
        runs = pool.imap_unordered(played, range(first, first + seeds), chunksize=_AT_ONCE)
        for run in _told(runs, seeds):
            total.update(run.counts)
            wrong += [f"seed {run.seed}: {one}" for one in run.violations]
    print("".join(f"{one}\n" for one in wrong), end="")
    print("| what | how often |\n|---|---|")
    for what, number in sorted(total.items()):
        print(f"| {what} | {number:,} |")
    print(f"| violations | {len(wrong):,} |")
    print(f"{seeds:,} seeds in {time.monotonic() - began:.0f} s", file=sys.stderr)
    return 1 if wrong else 0


def _told(runs: Iterable[Played], seeds: int) -> Iterable[Played]:
    for number, run in enumerate(runs, 1):
        if number % 10_000 == 0:
            print(f"{number:,} of {seeds:,} seeds", file=sys.stderr, flush=True)
        yield run


def _bugs(most: int) -> int:
    missed = 0
    for bug in BUGS:
        found = next((seed for seed in range(most) if bug.shown(seed)), None)
        said = "not found" if found is None else bug.shown(found)[0]
        print(f"| {bug.what} | {found} | {said} |", flush=True)
        missed += found is None
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

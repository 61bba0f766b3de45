"""Try every fault in full, print the table of docs/faults.md and write what it is made from."""

import argparse
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from faults import flips, interrupts, kills, mutations, pairs
from faults.commands import Pool
from faults.flips import Counts
from faults.page import Row, as_csv, as_table

_WORKERS = 2


def main() -> int:
    """Run what is asked for; the status is 1 where anything was not as promised."""
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__)
    parser.add_argument(
        "parts",
        nargs="*",
        help="kills, flips, mutations, interrupts, pairs; all of them unless told",
    )
    parser.add_argument("--out", type=Path, default=Path("runs/faults"))
    parser.add_argument("--times", type=int, help="at most so many of each kind")
    asked = parser.parse_args()
    out = asked.out.resolve()
    scratch = out / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    pool = Pool(scratch / "servers", out / "compiled", _WORKERS)
    every: dict[str, Callable[[Path], Counts]] = {
        "kills": lambda folder: kills.every_kill(pool, folder),
        "flips": lambda folder: flips.every_flip(pool, folder, times=asked.times),
        "mutations": lambda folder: mutations.every_mutation(
            pool, folder, out / "kept", mutations.FORMATS, asked.times
        ),
        "interrupts": lambda folder: interrupts.every_interrupt(folder, out / "compiled"),
        "pairs": lambda folder: pairs.every_pair(pool, folder),
    }
    rows, wrong = [], []
    for part in asked.parts or every:
        began = time.monotonic()
        for what, (count, said) in every[part](scratch / part).items():
            rows.append(Row(part, what, count, len(said)))
            wrong += said
        (out / f"{part}.csv").write_text(as_csv([row for row in rows if row.fault == part]))
        print(f"{part}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    pool.close()
    shutil.rmtree(scratch)
    (out / "wrong.txt").write_text("".join(f"{one}\n" for one in wrong))
    print("".join(f"{one}\n" for one in wrong), end="")
    print(as_table(rows))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""Two processes that do the same at once in one folder: one result, nothing left over."""

import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from faults.commands import Ended, Pool
from faults.folders import leftovers, results
from faults.inputs import write_inputs
from faults.kills import COMMANDS, Killed, Undisturbed, differing, undisturbed
from faults.record import Counts, Record

APART_S = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)


def every_pair(
    pool: Pool,
    scratch: Path,
    record: Record,
    commands: Sequence[Killed] = COMMANDS,
    apart_s: Sequence[float] = APART_S,
) -> Counts:
    """Pairs of each command and what went wrong, by its name. The pool must have two servers."""
    for command in commands:
        left = [gap_s for gap_s in apart_s if not record.has(command.name, gap_s)]
        if not left:
            continue
        with pool.server() as server:
            whole = undisturbed(server, command, scratch / f"alone {command.name}")
        for gap_s in left:
            wrong = _pair(pool, whole, gap_s, scratch / f"{command.name} {gap_s}")
            record.note(command.name, gap_s, wrong)
    return record.counts()


def _pair(pool: Pool, whole: Undisturbed, gap_s: float, folder: Path) -> list[str]:
    folder.mkdir(parents=True)
    write_inputs(folder)
    with pool.server() as one, pool.server() as other, ThreadPoolExecutor(2) as threads:
        if whole.command.before:
            one.run(whole.command.before, folder)
        first = threads.submit(one.run, whole.command.arguments, folder)
        time.sleep(gap_s)
        second = threads.submit(other.run, whole.command.arguments, folder)
        both = [first.result(), second.result()]
    wrong = _wrong(both)
    wrong += [f"{path} is left over" for path in leftovers(folder)]
    wrong += [f"{path} differs" for path in differing(whole.results, results(folder))]
    shutil.rmtree(folder)
    return [f"{whole.command.name} twice, {gap_s} s apart: {one}" for one in wrong]


def _wrong(both: Sequence[Ended]) -> list[str]:
    """One may be refused in a line, not both."""
    found = [f"{wrong}: {ended.told}" for ended in both if (wrong := ended.wrong())]
    if all(ended.status != 0 for ended in both):
        found.append("both refused")
    return found

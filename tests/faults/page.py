"""The table of docs/faults.md, from the numbers of a whole run."""

from collections.abc import Sequence
from dataclasses import dataclass

PROMISES = {
    "kills": "killed at any write, the same command ends with the same bytes, and nothing is left over",
    "flips": "one bit turned over is refused in a line, or what it was in is computed again",
    "mutations": "success or one line of at most 500 characters, within 1 GB and 10 s of CPU time",
    "interrupts": "Ctrl-C gives status 130 and one line, within 2 s",
    "pairs": "two at once end with the same bytes as one alone, or one is refused in a line",
}
"""What holds in spite of each fault."""
_HEADS = ("fault", "promise", "test", "in", "tried", "violations")


@dataclass(frozen=True)
class Row:
    """One fault in one place: how often it was tried, and how often not all was as promised."""

    fault: str
    place: str
    tried: int
    violations: int


def as_table(rows: Sequence[Row]) -> str:
    """The table of the page, with a sum under each fault."""
    lines = [_HEADS, ("---",) * len(_HEADS)]
    for fault in dict.fromkeys(row.fault for row in rows):
        some = [row for row in rows if row.fault == fault]
        test = f"`tests/faults/{fault}.py`"
        tried, wrong = sum(row.tried for row in some), sum(row.violations for row in some)
        lines.append(
            (f"**{fault}**", PROMISES[fault], test, "all", f"**{tried:,}**", f"**{wrong:,}**")
        )
        lines += [("", "", "", row.place, f"{row.tried:,}", f"{row.violations:,}") for row in some]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)

"""Tables on a terminal: numbers stay whole, and columns go by their rank."""

from enum import Enum

import numpy as np
import pytest

from isma.cli import output
from isma.cli.output import Column, fitting

NAMES = Column("policy", ["price", "full-information*"], is_text=True)
MEAN = Column("mean s", ["30.82", "305.2"])
GAP = Column("above best", ["0 %", "+890 %"], rank=1)
LOAD = Column("overload", ["0.2 %", "11.0 %"], rank=2)
COLUMNS = [NAMES, MEAN, GAP, LOAD]


@pytest.mark.parametrize(
    ("width", "kept"),
    [
        (52, COLUMNS),  # 17 + 6 + 10 + 8, three times 3 between them, and 2 at the sides.
        (51, [NAMES, MEAN, GAP]),
        (41, [NAMES, MEAN, GAP]),
        (40, [NAMES, MEAN]),
        (10, [NAMES, MEAN]),
    ],
)
def test_columns_go_by_rank(width: int, kept: list[Column]) -> None:
    shown, left_out = fitting(COLUMNS, width)
    assert shown == kept
    assert sorted(map(COLUMNS.index, left_out)) == [
        place for place, column in enumerate(COLUMNS) if column not in kept
    ]


@pytest.mark.parametrize("width", [24, 30, 41, 52, 100])
def test_no_number_is_cut(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    output.print_table("a table", COLUMNS, "summary.csv")
    told = capsys.readouterr().out
    assert all(number in told for number in MEAN.cells)
    assert max(map(len, told.splitlines())) <= width
    assert ("not shown" in told) == (width < 52)


def test_a_number_stays_with_its_unit_and_a_command_is_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    output.print_lines(["The distance is known to 0.5 % now, so run `isma compare . -n 9`."])
    assert capsys.readouterr().out.splitlines() == [
        "- The distance is known to",
        "  0.5 % now, so run",
        "  `isma compare . -n 9`.",
    ]


def test_json_has_no_number_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    colour = Enum("colour", {"RED": "red"})
    output.print_json({"a": np.float64("nan"), "b": (np.int64(3), True), "c": colour["RED"]})
    assert capsys.readouterr().out.split() == [
        *("{", '"a":', "null,", '"b":', "[", "3,", "true", "],", '"c":', '"red"', "}")
    ]

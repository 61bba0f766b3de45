"""The comparison with recorded cells, by hand."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from isma.errors import DataError, ScenarioError
from isma.world.importers import cells
from isma.world.sites import SiteTable, from_table

# Three sites on the equator, 0.01 degrees apart.
LAYOUT = from_table(SiteTable(("7", "8", "9"), np.zeros(3), np.array([0.0, 0.01, 0.02])))
FRAME = pd.DataFrame(
    {
        "user_id": ["a", "a", "a", "b", "b"],
        "time_s": [0.0, 240.0, 600.0, 0.0, 900.0],
        "latitude": [0.0] * 5,
        "longitude": [0.0, 0.02, 0.0, 0.0, 0.0],
    }
)


def table_of(folder: Path, text: str) -> Path:
    path = folder / "cells.csv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    return path


def test_agreement_by_hand(tmp_path: Path):
    # Slots 60, 120 and 180 s, read 45 s later, find a at 0.00875, 0.01375 and 0.01875 degrees:
    # sites 8, 8 and 9, recorded 8, 9 and 9. Not compared: slot 0 without a cell, slot 240 s in a
    # gap of 360 s, b in one of 900 s, c without a trace. Each changes once in two minutes.
    path = table_of(
        tmp_path,
        "unix_time,a,b,c\n240,9,7,7\n0,0,7,7\n60,8,7,7\n120,9,7,7\n180,9,7,7\n",
    )
    found = cells.agreement(FRAME, LAYOUT, path, offset_s=45.0)
    assert (found.slots, found.users) == (3, 1)
    assert found.same_ratio == pytest.approx(2 / 3)
    assert found.active_hours == pytest.approx(2 * 60 / 3600)
    assert found.recorded_handovers_per_hour == pytest.approx(30)
    assert found.trace_handovers_per_hour == pytest.approx(30)
    assert (
        found.lines()[0]
        == "nearest site is the recorded cell in 66.7% of 3 user-minutes of 1 users"
    )


def test_minutes_apart_are_no_hand_over(tmp_path: Path):
    path = table_of(tmp_path, "unix_time,a\n0,7\n60,0\n120,9\n")
    found = cells.agreement(FRAME, LAYOUT, path, offset_s=0.0)
    assert (found.slots, found.active_hours, found.recorded_handovers_per_hour) == (2, 0.0, 0.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("time,a\n0,7\n", "must have a column unix_time"),
        ("unix_time,a\n", "its rows 0"),
        ("unix_time,a\nnow,7\n", "line 2: unix_time must be UNIX seconds"),
        ("unix_time,a\n0,55\n", "recorded cells must be sites"),
        ("unix_time,z\n0,7\n", "its users must be those of the trace, none is; they are z"),
        ("unix_time,a\n5000,7\n", "no minute is in both"),
        ("", "must be a whole CSV file"),
    ],
)
def test_tables_that_cannot_be_compared_are_refused(tmp_path: Path, text: str, said: str):
    with pytest.raises(DataError) as caught:
        cells.agreement(FRAME, LAYOUT, table_of(tmp_path, text))
    assert said in str(caught.value)


def test_a_cut_or_missing_table_and_sites_nowhere_are_refused(tmp_path: Path):
    path = table_of(tmp_path, "unix_time,a\n" + "0,7\n" * 2000)
    with pytest.raises(ScenarioError, match=r"sites.kind must be"):
        cells.agreement(FRAME, LAYOUT.__class__(LAYOUT.ids, LAYOUT.position_m, None), path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DataError, match="cut short or damaged"):
        cells.agreement(FRAME, LAYOUT, path)
    with pytest.raises(DataError, match="no such table"):
        cells.agreement(FRAME, LAYOUT, tmp_path / "none.csv")

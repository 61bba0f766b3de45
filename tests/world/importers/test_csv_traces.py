"""Traces in a CSV: the names, times and signs that people use, and what is refused."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from isma.errors import DataError
from isma.world.importers import csv_traces
from isma.world.importers.cleaning import clean


def plainly(frame: pd.DataFrame) -> pd.DataFrame:
    """Without the lines in the file."""
    return frame.reset_index(drop=True)


EXPECTED = pd.DataFrame(
    {
        "user_id": ["007", "b"],
        "time_s": [1577880000.0, 1577880001.5],
        "latitude": [1.0, 3.0],
        "longitude": [2.0, 4.0],
    }
)


@pytest.mark.parametrize(
    "text",
    [
        "user_id,time_s,latitude,longitude\n007,1577880000,1,2\nb,1577880001.5,3,4\n",
        "Taxi_ID;Timestamp;LNG;LAT;x\n007;1577880000;2;1;\nb;1577880001.5;4;3;\n",
        "id,lat,lon,datetime\n007,1,2,2020-01-01T12:00:00Z\nb,3,4,2020-01-01T13:00:01.5+01:00\n",
        '"id","lat","lon","time"\n\n007,1,2,2020-01-01 12:00:00\n"b",3,4,2020-01-01 12:00:01.5\n\n',
    ],
)
def test_usual_tables(tmp_path: Path, text: str):
    path = tmp_path / "t.csv"
    path.write_text(text)
    pd.testing.assert_frame_equal(plainly(csv_traces.read(path).frame), EXPECTED, check_dtype=False)
    with gzip.open(tmp_path / "t.csv.gz", "wt") as file:
        file.write("\ufeff" + text)
    pd.testing.assert_frame_equal(
        plainly(csv_traces.read(tmp_path / "t.csv.gz").frame), EXPECTED, check_dtype=False
    )


def test_columns_may_be_named(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("id,who,lat,lon,y,x,time\n1,007,0,0,1,2,1577880000\n2,b,0,0,3,4,1577880001.5\n")
    columns = csv_traces.Columns(user_id="who", latitude="y", longitude="X")
    pd.testing.assert_frame_equal(
        plainly(csv_traces.read(path, columns).frame), EXPECTED, check_dtype=False
    )
    with pytest.raises(DataError, match=r"must be called one of whom; .* the nearest is 'who'"):
        csv_traces.read(path, csv_traces.Columns(user_id="whom"))


def test_single_values_that_cannot_be_read_are_left_to_cleaning(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("id,time,lat,lon\na,1,1,2\na,2,?,2\na,3,1\n,4,1,2\nNA,5,1,2\n")
    frame = csv_traces.read(path).frame
    assert frame["user_id"].tolist() == ["a", "a", "a", "", "NA"]
    assert np.isnan(frame["latitude"]).tolist() == [False, True, False, False, False]
    assert np.isnan(frame["longitude"]).tolist() == [False, False, True, False, False]
    assert frame.index.tolist() == [2, 3, 4, 5, 6]


def test_what_cannot_be_read_is_named_by_its_line(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("id,time,lat,lon\na,1,1,2\n\na,xx,1,2\na,yy,1,2\na,2,1,2\n,3,1,2\n")
    _, report = clean(csv_traces.read(path).frame)
    assert report.lines()[1] == "dropped 3 unreadable (the first in line 4)"
    path.write_text("id,time,lat,lon\na,xx,1,2\na,2,1,2\n")
    with pytest.raises(
        DataError, match=r"2 can be used: .*in line 2\); 1 alone \([\w ]+; the first in line 3\)$"
    ):
        clean(csv_traces.read(path).frame)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "got an empty file"),
        ("id,time,lat,lon\n", "got a header alone"),
        ("id,tim,lat,lon\na,1,1,2\n", "a column with the time must be called one of time_s"),
        ("id,time,lat,lon\na,1,1,2,9\n", "line 2: must have 4 columns as the header, got more"),
        (
            "id,time,lat,lon\na,1,1,2\na,1,1,2,9\n",
            "line 3: must have 4 columns as the header, got 5",
        ),
        (
            "id,time,lat,lon\na,1577880000000,1,2\n",
            "if these are milliseconds, give --time-unit ms, or divide them by 1000",
        ),
        (
            "id,time,lat,lon\n\na,noon,1,2\n",
            "line 3: time must be UNIX seconds or ISO 8601, got 'n",
        ),
        ("id,time,lat,lon\na,1,1,2\na,1,N,2\na,1,N,2\n", "line 3: lat must be a number of degrees"),
    ],
)
def test_garbage_is_refused(tmp_path: Path, text: str, said: str):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        csv_traces.read(path)
    assert str(caught.value).startswith(str(path))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_text_no_gzip_or_not_there_is_refused(tmp_path: Path):
    (tmp_path / "t.csv").write_bytes(b"id,time\n\xff\xfe\n")
    with pytest.raises(DataError, match="not UTF-8 text: save it as CSV UTF-8"):
        csv_traces.read(tmp_path / "t.csv")
    whole = gzip.compress(b"id,time,lat,lon\n" + b"a,1,1,2\n" * 5000)
    (tmp_path / "t.csv.gz").write_bytes(whole[:-20])
    with pytest.raises(DataError, match="cut short"):
        csv_traces.read(tmp_path / "t.csv.gz")
    (tmp_path / "t.csv.gz").write_text("id,time,lat,lon\n")
    with pytest.raises(
        DataError, match="must hold fixes, got a header alone"
    ):  # Whatever its name.
        csv_traces.read(tmp_path / "t.csv.gz")
    with pytest.raises(DataError, match="no such trace"):
        csv_traces.read(tmp_path / "none.csv")

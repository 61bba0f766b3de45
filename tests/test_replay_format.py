"""Replay files: what is written is what is read, compactly, and what is damaged is told."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from benchmarks.made_up_replays import made_up
from isma import replay_format as form
from isma.errors import RunError
from isma.replay_format import COLUMNS, ReplayFile, frame_ticks, header_line, packed, unpacked

WHOLE = arrays.arrays(
    np.int32,
    st.tuples(st.integers(1, 6), st.integers(1, 5)),
    elements=st.integers(-(2**31), 2**31 - 1),
)


@given(WHOLE)
def test_packed_numbers_come_back(rows: np.ndarray) -> None:
    assert np.array_equal(unpacked(packed(rows), len(rows)), rows)


def test_columns_are_written_as_documented() -> None:
    """Two frames of two rows, 1 and 300, then 0 and 301: differences 1, 300, -1, 1, bytes apart."""
    import base64
    import zlib

    told = zlib.decompress(base64.b64decode(packed(np.array([[1, 300], [0, 301]]))))
    # 300 is 44 + 256; -1 is 255 in every byte.
    assert list(told) == [1, 44, 255, 1, 0, 1, 255, 0, 0, 0, 255, 0, 0, 0, 255, 0]


@given(st.floats(1e-8, 1e6))
def test_a_logarithmic_column_keeps_values_to_an_eighth_of_a_percent(value: float) -> None:
    column = COLUMNS["delay_s"]
    assert column.values(column.whole(np.array([value])))[0] == pytest.approx(value, rel=0.00116)


def test_nothing_stays_nothing() -> None:
    column = COLUMNS["price_s"]
    assert column.values(column.whole(np.zeros(2))).tolist() == [0, 0]


@given(st.integers(1, 100_000), st.integers(1, 100), st.integers(1, 20_000))
def test_frames_fit_intervals_and_are_few(ticks: int, chunk: int, users: int) -> None:
    every = frame_ticks(ticks, chunk, users)
    assert chunk % every == 0 or every % chunk == 0
    most = min(form.MOST_FRAMES, form.MOST_PLACES // users)
    assert ticks <= every * max(most, 2)


def written(path: Path, replay: ReplayFile) -> Path:
    known = ("format", "version", "columns")
    told = {name: value for name, value in replay.header.items() if name not in known}
    lines = "".join(f"{line}\n" for line in replay.lines)
    path.write_text(header_line(told, list(replay.header["columns"])) + lines)
    return path


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = made_up()
    read = ReplayFile.load(written(tmp_path / "a.replay", made))
    assert read == made
    assert read.column("x_m").shape == (40, 12)
    assert read.sums("migrations").sum() == read.column("tick").size > 0


def test_a_line_that_is_not_whole_is_left_out(tmp_path: Path) -> None:
    path = written(tmp_path / "a.replay", made_up())
    path.write_bytes(path.read_bytes()[:-20])
    assert ReplayFile.load(path).lines == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "must be a replay"),
        ("[]\n", "must be a replay"),
        ('{"format":"isma replay","version":9}\n', "version 1, got 9"),
        ("{" * 100_000 + "\n", "must be a replay"),
    ],
)
def test_something_else_is_refused(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "a.replay"
    path.write_text(text)
    with pytest.raises(RunError, match=told):
        ReplayFile.load(path)


@pytest.mark.parametrize(
    "line", ['{"first":0}', "[]", '{"first":0,"frames":2,"sums":{},"columns":{"x_m":"AAAA"}}']
)
def test_a_damaged_block_is_told(line: str) -> None:
    with pytest.raises(RunError, match="block 1 of the replay of 'price' is damaged"):
        list(ReplayFile(made_up().header, [line]).blocks())

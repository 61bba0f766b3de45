"""Trajectories by hand, windows against a plain count, and trace files that are none."""

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isma.errors import DataError, RunError, ScenarioError
from isma.world import traces
from isma.world.motion import Trace
from isma.world.sites import Projection

CENTRE = Projection(0.0, 0.0)
NOON_S = datetime(2020, 1, 1, 12, tzinfo=UTC).timestamp()
Rows = list[tuple[str, float, float, float]]


def frame_of(rows: Rows) -> pd.DataFrame:
    """Rows of user, seconds after noon, and metres east and north of the centre."""
    user_id, after_s, east_m, north_m = zip(*rows, strict=True)
    latitude, longitude = CENTRE.to_degrees(np.array([east_m, north_m], dtype=np.float64).T)
    time_s = NOON_S + np.array(after_s, dtype=np.float64)
    columns = {"time_s": time_s, "latitude": latitude, "longitude": longitude}
    return pd.DataFrame({"user_id": list(user_id), **columns})


def trace_of(folder: Path, rows: Rows, **fields: object) -> Trace:
    traces.write(frame_of(rows), folder / "trace.parquet")
    start = datetime.fromtimestamp(NOON_S, UTC)
    given_fields = {"file": folder / "trace.parquet", "start": start, **fields}
    return Trace.model_validate(given_fields)


def test_users_move_straight_between_fixes(tmp_path: Path):
    # b goes 100 m east in 10 s; a stands until 4 s, then goes 60 m north until 10 s.
    rows = [
        ("b", 0, 0, 0), ("b", 10, 100, 0), ("a", 0, 5, 0), ("a", 10, 5, 60), ("a", 4, 5, 0),
    ]  # fmt: skip
    moving = traces.trajectories(trace_of(tmp_path, rows), CENTRE, 10.0, 5.0, None)
    assert moving.user_ids == ("a", "b")
    a, b = [[5, 0], [5, 10], [5, 60]], [[0, 0], [50, 0], [100, 0]]
    np.testing.assert_allclose(moving.position_m, np.stack([a, b], axis=1), atol=1e-3)


def test_only_users_with_fixes_throughout_take_part_and_the_first_by_id(tmp_path: Path):
    whole = [(user, t, 0, 0) for user in "dbe" for t in (-100, 0, 250, 500, 601)]
    late = [("a", t, 0, 0) for t in (1, 250, 500, 601)]
    early = [("c", t, 0, 0) for t in (0, 250, 500, 599)]
    gap = [("f", t, 0, 0) for t in (-10, 10, 311, 601)]
    outside = [("g", t, 0, 0) for t in (-999, 0, 300, 600, 2000)]
    trace = trace_of(tmp_path, whole + late + early + gap + outside)
    assert traces.trajectories(trace, CENTRE, 600.0, 1.0, None).user_ids == ("b", "d", "e", "g")
    first_two = traces.trajectories(trace, CENTRE, 600.0, 1.0, 2)
    assert first_two.user_ids == ("b", "d")
    assert first_two.position_m.shape == (601, 2, 2)


def test_a_gap_that_reaches_over_an_end_of_the_window_counts(tmp_path: Path):
    rows = [("a", t, 0.0, 0.0) for t in (-200, 200, 400, 600)]
    with pytest.raises(DataError, match="without a gap above 300 s"):
        traces.trajectories(trace_of(tmp_path, rows), CENTRE, 600.0, 1.0, None)


def test_users_are_there_from_the_first_to_the_last_fix_and_away_in_long_gaps(tmp_path: Path):
    """A window of 600 s, gaps up to 300 s.

    a comes at 100 s, 1 m east a second from 100 m, and leaves at 350 s. b is there from before, goes
    at 200 s and comes back at 550 s, for the gap of 350 s is an absence; it stays beyond the end. c
    has one fix in the window, and the next 301 s later: nothing is known of its way. d is there
    throughout.
    """
    rows = [
        *[("a", t, t, 0.0) for t in (100, 350)],
        *[("b", t, 0.0, t) for t in (-50, 200, 550, 700)],
        *[("c", t, 0.0, 0.0) for t in (300, 601)],
        *[("d", t, 7.0, 7.0) for t in (0, 300, 600)],
    ]
    trace = trace_of(tmp_path, rows)
    found = traces.trajectories(trace, CENTRE, 600.0, 50.0, None, throughout=False)
    assert found.user_ids == ("a", "b", "b", "d")
    inf = np.inf
    expected = [[100, 350], [-inf, 200], [550, inf], [-inf, inf]]
    np.testing.assert_allclose(found.there_s, expected, atol=1e-6)
    # a at 50, 100, 250 and 400 s: where it comes, on its way, where it has left.
    np.testing.assert_allclose(
        found.position_m[[1, 2, 5, 8], 0], [[100, 0], [100, 0], [250, 0], [350, 0]], atol=1e-3
    )
    np.testing.assert_allclose(found.position_m[[0, 4, 8], 1, 1], [0, 200, 200], atol=1e-3)
    np.testing.assert_allclose(found.position_m[[4, 12], 2, 1], [550, 600], atol=1e-3)
    # Users are counted, not their visits: the first two are a and b with both of its visits.
    two = traces.trajectories(trace, CENTRE, 600.0, 50.0, 2, throughout=False)
    assert two.user_ids == ("a", "b", "b")
    # Throughout, only d has fixes.
    assert traces.trajectories(trace, CENTRE, 600.0, 50.0, None).user_ids == ("d",)


def test_a_window_in_which_nobody_is_there_is_refused(tmp_path: Path):
    trace = trace_of(tmp_path, [("a", t, 0.0, 0.0) for t in (-90, -10)])
    with pytest.raises(
        ScenarioError, match="users must be there in the 60 s from 2020-01-01T12:00"
    ):
        traces.trajectories(trace, CENTRE, 60.0, 1.0, None, throughout=False)


def test_without_a_start_the_run_begins_with_the_first_fix(tmp_path: Path):
    rows = [("a", t, 10.0 * t, 0.0) for t in (7, 17)]
    trace = trace_of(tmp_path, rows, start=None)
    moving = traces.trajectories(trace, CENTRE, 10.0, 10.0, None)
    np.testing.assert_allclose(moving.position_m[:, 0], [[70, 0], [170, 0]], atol=1e-3)


def test_an_empty_window_says_what_there_is_and_what_to_change(tmp_path: Path):
    rows = [("a", t, 0.0, 0.0) for t in range(0, 901, 100)]
    trace = trace_of(tmp_path, rows, start=datetime(2020, 1, 1, 12, 5, tzinfo=UTC))
    with pytest.raises(ScenarioError) as caught:
        traces.trajectories(trace, CENTRE, 800.0, 1.0, None)
    assert "that window has 7 fixes, the file runs from 2020-01-01T12:00:00Z to" in str(
        caught.value
    )
    assert str(caught.value).endswith("set mobility.start to 2020-01-01T12:00:00Z (1 users)")
    with pytest.raises(DataError, match=r"lower time.duration_s or raise mobility.max_gap_s"):
        traces.trajectories(trace, CENTRE, 1000.0, 1.0, None)


def test_a_trace_needs_sites_on_earth(tmp_path: Path):
    trace = trace_of(tmp_path, [("a", 0, 0, 0), ("a", 9, 0, 0)])
    with pytest.raises(ScenarioError, match=r'sites.kind must be "file"'):
        traces.trajectories(trace, None, 9.0, 1.0, None)


fix_times = st.dictionaries(
    st.sampled_from("abcd"), st.lists(st.integers(0, 60), min_size=1, unique=True), min_size=1
)


@given(fix_times, st.integers(1, 40))
def test_best_window_has_most_users_of_all_minutes(minutes_of_user, duration_min: int):
    rows = [(user, 60.0 * m, 0.0, 0.0) for user, ms in minutes_of_user.items() for m in ms]
    frame = frame_of(rows).sort_values(["user_id", "time_s"], ignore_index=True)

    def followed(start: int) -> int:
        def through(minutes: list[int]) -> bool:
            end = start + duration_min
            near = [m for m in sorted(minutes) if start - 3 <= m <= end + 3]
            ends_held = any(m <= start for m in near) and any(m >= end for m in near)
            return ends_held and all(
                b - a <= 3 or b <= start or a >= end for a, b in pairwise(near)
            )

        return sum(through(minutes) for minutes in minutes_of_user.values())

    counts = [followed(start) for start in range(61)]
    best = traces.best_window(frame, 60.0 * duration_min, 180.0)
    if max(counts) == 0:
        assert best is None
    else:
        assert best is not None
        assert best.num_users == max(counts)
        assert best.start.timestamp() == NOON_S + 60 * counts.index(max(counts))


def test_best_window_may_start_between_minutes():
    frame = frame_of([("a", 12.5, 0, 0), ("a", 40.5, 0, 0)])
    best = traces.best_window(frame, 28.0, 300.0)
    assert best == traces.TimeWindow(datetime(2020, 1, 1, 12, 0, 12, 500_000, tzinfo=UTC), 1)


def test_a_written_trace_reads_back_in_order_and_the_same_bytes(tmp_path: Path):
    frame = frame_of([("b", 0, 1, 2), ("a", 9, 3, 4), ("a", 0, 5, 6)])
    traces.write(frame, tmp_path / "t.parquet")
    expected = frame.iloc[[2, 1, 0]].reset_index(drop=True)
    pd.testing.assert_frame_equal(traces.read(tmp_path / "t.parquet"), expected)
    assert traces.dumps(frame) == (tmp_path / "t.parquet").read_bytes()


def test_files_that_are_no_trace_are_refused(tmp_path: Path):
    path = tmp_path / "t.parquet"
    good = frame_of([("a", 0, 0, 0), ("a", 9, 0, 0)])
    whole = traces.dumps(good)
    refused = {
        b"": "must be a parquet file",
        b"hello": "must be a parquet file",
        whole[: len(whole) // 2]: "must be a parquet file",
    }
    for content, said in refused.items():
        path.write_bytes(content)
        with pytest.raises(DataError, match=said):
            traces.read(path)
    frames = {
        "missing latitude": good.drop(columns="latitude"),
        "must hold fixes": good.iloc[:0],
        "time_s must be numbers": good.assign(time_s="now"),
        "row 1: longitude must be finite, got nan": good.assign(longitude=[0.0, np.nan]),
        "user_id must be given": good.assign(user_id=["a", None]),
    }
    for said, frame in frames.items():
        frame.to_parquet(path)
        with pytest.raises(DataError, match=said) as caught:
            traces.read(path)
        assert str(caught.value).startswith(str(path))
    with pytest.raises(DataError, match="no such trace"):
        traces.read(tmp_path / "none.parquet")
    with pytest.raises(RunError, match="cannot be written"):
        traces.write(good, tmp_path / "nowhere" / "t.parquet")

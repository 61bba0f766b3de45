"""Cleaning by hand, against an exhaustive search, and whatever the order of rows."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isma.errors import DataError
from isma.world.importers import cleaning, jumps
from isma.world.importers.cleaning import Reason
from isma.world.sites import SiteTable

METRE_DEG = 1 / 111_195.08
"""Degrees of latitude in a metre on the sphere of jumps.EARTH_RADIUS_M."""


def trace(rows: list[tuple[object, object, object]]) -> pd.DataFrame:
    """Rows of user, seconds, and metres north."""
    user_id, time_s, north_m = zip(*rows, strict=True)
    latitude = [m * METRE_DEG if isinstance(m, int | float) else m for m in north_m]
    columns = {"user_id": user_id, "time_s": time_s, "latitude": latitude}
    return pd.DataFrame(columns).assign(longitude=0.0)


def metres(frame: pd.DataFrame) -> list[tuple[str, float, int]]:
    north_m = (frame["latitude"] / METRE_DEG).round().astype(int)
    return list(zip(frame["user_id"], frame["time_s"], north_m, strict=True))


def test_each_reason_by_hand():
    frame = trace(
        [
            ("a", 100, 10), ("a", 0, 0), ("a", 0, 0),  # turned round, and once twice
            ("a", 50, 9000),  # 180 m/s there and back
            ("a", 100, 500), ("a", 200, 20),  # a second place at 100 s: the longer way
            ("b", 0, 0),  # alone
            ("c", float("nan"), 0), (None, 0, 0), ("", 0, 0), ("d", "noon", 0), ("d", 1, "north"),
            ("e", 0, 1e8),  # beyond the pole
        ]
    )  # fmt: skip
    cleaned, report = cleaning.clean(frame)
    assert metres(cleaned) == [("a", 0, 0), ("a", 100, 10), ("a", 200, 20)]
    assert report.dropped == {
        Reason.UNREADABLE: 5,
        Reason.OUT_OF_RANGE: 1,
        Reason.DUPLICATE: 1,
        Reason.SAME_TIME: 1,
        Reason.JUMP: 1,
        Reason.LONELY: 1,
    }
    assert report.read_fixes == 13 == report.kept_fixes + sum(report.dropped.values())
    assert (report.read_users, report.kept_users) == (5, 1)
    assert report.lines()[0] == "kept 3 of 13 fixes, 1 of 5 users"
    assert (
        "; 1 elsewhere at the same time (the first in row 4); 1 reached by a jump above 50 m/s (the "
        "first in row 3); 1 alone (nothing else is left of the user; the first in row 6)"
        in report.lines()[1]
    )
    assert {reason.name.lower(): count for reason, count in report.dropped.items()} == {
        "unreadable": 5, "out_of_range": 1, "duplicate": 1, "same_time": 1, "jump": 1, "lonely": 1
    }  # fmt: skip


@pytest.mark.parametrize("bad", range(6))
def test_one_bad_fix_costs_itself_alone_wherever_it_is(bad: int):
    rows = [("a", 60.0 * step, 30_000 if step == bad else 100 * step) for step in range(6)]
    cleaned, report = cleaning.clean(trace(rows))
    assert metres(cleaned) == [row for step, row in enumerate(rows) if step != bad]
    assert report.dropped[Reason.JUMP] == 1


def test_a_slow_drift_back_from_a_jump_is_dropped_whole():
    # Four fixes in a wrong place agree with each other; the ten around them are more.
    rows = [("a", 60.0 * k, 90_000 + k if 5 <= k < 9 else k) for k in range(14)]
    cleaned, _ = cleaning.clean(trace(rows))
    assert metres(cleaned) == [row for row in rows if row[2] < 90_000]


def test_exactly_the_fastest_speed_is_kept():
    assert len(cleaning.clean(trace([("a", 0, 0), ("a", 10, 499.9)]))[0]) == 2
    with pytest.raises(DataError, match="1 reached by a jump above 50 m/s"):
        cleaning.clean(trace([("a", 0, 0), ("a", 10, 500.1)]))


rows_of_few = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 12), st.integers(0, 12).map(lambda k: 40 * k)),
    min_size=2,
    max_size=9,
)


@given(rows_of_few)
def test_what_is_kept_is_drivable_and_no_larger_set_is(rows):
    rows = sorted(set(rows))
    frame = trace(rows)
    user = (frame["user_id"] == "b").to_numpy(int)
    time_s = frame["time_s"].to_numpy(float)
    north = frame["latitude"].to_numpy(float)
    keep = jumps.drivable(user, time_s, north, np.zeros(len(rows)), 43.0)

    def fits(first, second) -> bool:
        return abs(second[2] - first[2]) <= 43.0 * (second[1] - first[1])

    for name in "ab":
        own = [row for row in rows if row[0] == name]
        kept = [row for row, stays in zip(rows, keep, strict=True) if stays and row[0] == name]
        assert all(fits(*pair) for pair in combinations(kept, 2))
        larger = combinations(own, len(kept) + 1)
        assert not any(all(fits(*pair) for pair in combinations(some, 2)) for some in larger)


def test_two_phones_under_one_name_leave_the_one_with_more_fixes():
    # A fix a second for a quarter of an hour, every third of them 20 km (400 s) away.
    rows = [("a", float(t), 20_000 if t % 3 == 0 else t) for t in range(900)]
    cleaned, _ = cleaning.clean(trace(rows))
    assert metres(cleaned) == [row for row in rows if row[2] < 20_000]


messy_rows = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", None]),
        st.one_of(st.integers(0, 600), st.just(float("nan"))),
        st.one_of(st.integers(0, 20_000), st.just(1e9)),
    ),
    min_size=1,
    max_size=40,
)


@given(messy_rows, st.randoms(use_true_random=False))
def test_order_is_of_no_matter_and_cleaning_twice_is_cleaning_once(rows, random):
    rows += [("z", 0.0, 0.0), ("z", 60.0, 5.0)]  # something is always left
    cleaned, report = cleaning.clean(trace(rows))
    random.shuffle(rows)
    again, report_again = cleaning.clean(trace(rows))
    pd.testing.assert_frame_equal(again, cleaned)
    assert report_again.dropped == report.dropped
    assert (report_again.kept_fixes, report_again.kept_users) == (
        report.kept_fixes,
        report.kept_users,
    )
    assert report.read_fixes == report.kept_fixes + sum(report.dropped.values())
    twice, nothing = cleaning.clean(cleaned)
    pd.testing.assert_frame_equal(twice, cleaned)
    assert set(nothing.dropped.values()) == {0}


def test_a_trace_of_another_region_is_refused():
    box = cleaning.Box(37.0, 38.0, -123.0, -122.0)
    with pytest.raises(DataError, match=r"cabs: no fix of 2 can be used: dropped 2 out of range"):
        cleaning.clean(trace([("a", 0, 0), ("a", 9, 0)]), box, label="cabs")
    with pytest.raises(DataError, match="latitude and longitude are not swapped"):
        cleaning.clean(trace([("a", 0, 0), ("a", 9, 0)]), box)
    with pytest.raises(DataError, match=r"50 m/s .*; check the unit of time \(--time-unit\)$"):
        cleaning.clean(trace([("a", 0, 0), ("a", 1, 900)]))
    with pytest.raises(DataError, match=r"no fix of 0 can be used: dropped nothing$"):
        cleaning.clean(trace([("a", 0, 0)]).iloc[:0])


def test_box_around_sites():
    # 30 km are 0.27 degrees of latitude, and twice that of longitude at 60 degrees north.
    table = SiteTable(("a", "b"), np.array([59.0, 59.73]), np.array([10.0, 11.0]))
    box = cleaning.Box.around(table)
    expected = [58.73, 60.0, 9.46, 11.54]
    np.testing.assert_allclose([box.south, box.north, box.west, box.east], expected, atol=0.005)
    where = np.array([[59.5, 9.47], [59.5, 9.45], [58.72, 10.5], [60.01, 10.5], [59.5, 370.5]])
    assert box.holds(where[:, 0], where[:, 1]).tolist() == [True, False, False, False, False]


def test_box_across_the_date_line_and_around_the_earth():
    table = SiteTable(("a", "b"), np.array([0.0, 0.0]), np.array([179.9, -179.9]))
    east = np.array([179.8, -179.8, 0.0])
    assert cleaning.Box.around(table).holds(np.zeros(3), east).tolist() == [True, True, False]
    corners = np.array([-180.0, 180.0, 180.5])
    assert cleaning.EARTH.holds(np.array([-90.0, 90.0, 0.0]), corners).tolist() == [
        True,
        True,
        False,
    ]
    polar = SiteTable(("a",), np.array([89.9]), np.array([0.0]))
    assert cleaning.Box.around(polar).holds(np.array([89.95]), np.array([170.0])).all()

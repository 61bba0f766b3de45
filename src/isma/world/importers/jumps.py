"""GPS jumps: the largest set of a user's fixes that one vehicle could have driven."""

import numpy as np
from jaxtyping import Bool, Float, Int

from isma.errors import DataError

EARTH_RADIUS_M = 6_371_008.8
"""Mean radius."""
MOST_PAIRS, MOST_PAIRS_A_FIX = 50_000_000, 100
"""Pairs of fixes near each other in time that are compared, or that many for each fix: seconds of work."""


def drivable(
    user: Int[np.ndarray, "fixes"],
    time_s: Float[np.ndarray, "fixes"],
    latitude: Float[np.ndarray, "fixes"],
    longitude: Float[np.ndarray, "fixes"],
    max_speed_mps: float,
) -> Bool[np.ndarray, "fixes"]:
    """Mark the fixes to keep; fixes come ordered by user and time.

    Two fixes of a user fit when the straight line between them takes at most `max_speed_mps`. By the
    triangle inequality fitting is transitive (if a fits b and b a later c, then a fits c), so the
    longest chain of fitting fixes is kept: as many as possible, and of equally long chains the one
    with the shortest path. One bad fix therefore costs itself alone, also where it is the first.
    A fix that fits all others is in every longest chain; only the stretches between such fixes,
    which jumps make, are searched. Raises DataError where jumps leave too much to search.
    """
    point_m = place_m(latitude, longitude)
    fits_all = ~_in_conflict(user, time_s, point_m, max_speed_mps)
    keep = fits_all.copy()
    for first, last in _stretches(user, fits_all):
        # The fixes before and after fit all of the stretch: they only decide the shortest path.
        before = first - 1 if first > 0 and user[first - 1] == user[first] else first
        after = (
            last + 1 if last < len(user) and user[min(last, len(user) - 1)] == user[first] else last
        )
        chain = _longest_chain(time_s[before:after], point_m[before:after], max_speed_mps)
        keep[before + chain] = True
    return keep


def place_m(
    latitude: Float[np.ndarray, "fixes"], longitude: Float[np.ndarray, "fixes"]
) -> Float[np.ndarray, "fixes 3"]:
    """Points on a sphere: their chord distance keeps the triangle inequality everywhere."""
    north, east = np.radians(latitude), np.radians(longitude)
    across = np.cos(north)
    return EARTH_RADIUS_M * np.stack(
        [across * np.cos(east), across * np.sin(east), np.sin(north)], axis=-1
    )


def _in_conflict(
    user: Int[np.ndarray, "fixes"],
    time_s: Float[np.ndarray, "fixes"],
    place_m: Float[np.ndarray, "fixes 3"],
    max_speed_mps: float,
) -> Bool[np.ndarray, "fixes"]:
    """Mark the fixes that do not fit some other fix of their user.

    Two such fixes always have a step that does not fit between them, and are closer in time than
    it takes to cross the whole place: so few pairs need a look.
    """
    conflict = np.zeros(len(user), dtype=bool)
    if len(user) < 2:
        return conflict
    crossing_s = np.linalg.norm(np.ptp(place_m, axis=0)) / max_speed_mps
    broken = (user[1:] == user[:-1]) & ~_fit(time_s, place_m, max_speed_mps, 1)
    breaks = np.flatnonzero(broken)
    following = np.append(breaks, len(user))[np.searchsorted(breaks, np.arange(len(user)))]
    near = following < len(user) - 1
    near[near] &= user[following[near]] == user[near]
    near[near] &= time_s[following[near]] - time_s[near] <= crossing_s
    first, lag, pairs = np.flatnonzero(near), 0, 0
    while len(first):
        lag += 1
        pairs += len(first)
        _check_pairs(pairs, len(user))
        first = first[first + lag < len(user)]
        second = first + lag
        possible = (user[second] == user[first]) & (time_s[second] - time_s[first] <= crossing_s)
        first, second = first[possible], second[possible]
        distance_m = np.linalg.norm(place_m[second] - place_m[first], axis=-1)
        bad = distance_m > max_speed_mps * (time_s[second] - time_s[first])
        conflict[first[bad]] = conflict[second[bad]] = True
    return conflict


def _check_pairs(count: int, fixes: int) -> None:
    if count > max(MOST_PAIRS, MOST_PAIRS_A_FIX * fixes):
        raise DataError(
            "fixes of one user are so often in two places at a time that its way cannot be told; "
            "check who moves and the unit of time, or take a part of the file"
        )


def _fit(
    time_s: Float[np.ndarray, "fixes"],
    place_m: Float[np.ndarray, "fixes 3"],
    max_speed_mps: float,
    lag: int,
) -> Bool[np.ndarray, "pairs"]:
    distance_m = np.linalg.norm(place_m[lag:] - place_m[:-lag], axis=-1)
    return distance_m <= max_speed_mps * (time_s[lag:] - time_s[:-lag])


def _stretches(
    user: Int[np.ndarray, "fixes"], fits_all: Bool[np.ndarray, "fixes"]
) -> list[tuple[int, int]]:
    """Runs, each of one user, of fixes that do not fit all: first, and one past the last."""
    doubtful = np.flatnonzero(~fits_all)
    if not len(doubtful):
        return []
    apart = (np.diff(doubtful) > 1) | (np.diff(user[doubtful]) != 0)
    starts = np.concatenate([[0], np.flatnonzero(apart) + 1])
    ends = np.append(starts[1:], len(doubtful)) - 1
    return [(int(doubtful[a]), int(doubtful[b]) + 1) for a, b in zip(starts, ends, strict=True)]


def _longest_chain(
    time_s: Float[np.ndarray, "fixes"], place_m: Float[np.ndarray, "fixes 3"], max_speed_mps: float
) -> Int[np.ndarray, "kept"]:
    """Indices of the longest chain of fitting fixes, of equals the one with the shortest path."""
    count = len(time_s)
    crossing_s = np.linalg.norm(np.ptp(place_m, axis=0)) / max_speed_mps
    # Fixes further apart in time than a crossing always fit. So of those, the last one before is on
    # a longer chain than any a crossing older than itself: none of these can be the best.
    near = np.searchsorted(time_s, time_s - crossing_s)
    oldest = np.where(near > 0, near[np.maximum(near - 1, 0)], 0)
    _check_pairs(int((np.arange(count) - oldest).sum()), count)
    length = np.ones(count, dtype=np.int64)
    path_m = np.zeros(count)
    previous = np.full(count, -1)
    for fix in range(1, count):
        start = int(oldest[fix])
        step_m = np.linalg.norm(place_m[start:fix] - place_m[fix], axis=-1)
        fits = np.flatnonzero(step_m <= max_speed_mps * (time_s[fix] - time_s[start:fix]))
        if len(fits):
            total_m, fits = path_m[start + fits] + step_m[fits], start + fits
            best = fits[np.lexsort((total_m, -length[fits]))[0]]
            length[fix], previous[fix] = length[best] + 1, best
            path_m[fix] = path_m[best] + step_m[best - start]
    fix = int(np.lexsort((path_m, -length))[0])
    chain = []
    while fix >= 0:
        chain.append(fix)
        fix = int(previous[fix])
    return np.array(chain[::-1])

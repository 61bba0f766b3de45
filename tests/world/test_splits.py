"""Splits have no world in common, and the real windows hold what they are said to hold."""

import os
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path

import pandas as pd
import pytest

from isma.world import sites, traces
from isma.world.importers import cabspotting
from isma.world.importers.cleaning import Box, clean
from isma.world.splits import WINDOW, DataSplit, Purpose, split

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("ISMA_DATA") or ROOT.parent / "shared" / "data")


def windows(of: DataSplit) -> list[tuple[float, float]]:
    return [(start.timestamp(), (start + WINDOW).timestamp()) for start in of.starts]


def test_no_world_is_in_two_splits() -> None:
    splits = {purpose: split(purpose) for purpose in Purpose}
    for one, other in combinations(splits.values(), 2):
        assert not set(one.seeds) & set(other.seeds)
        for begin, end in windows(one):
            assert all(end <= first or last <= begin for first, last in windows(other))
    assert splits[Purpose.TRAIN].archive != splits[Purpose.TEST].archive


@pytest.mark.parametrize("purpose", Purpose)
def test_windows_do_not_overlap_within_a_split(purpose: Purpose) -> None:
    ordered = sorted(windows(split(purpose)))
    assert all(end <= begin for (_, end), (begin, _) in pairwise(ordered))
    assert len(split(purpose).seeds) >= 100


def test_published_and_tuning_seeds_are_those_of_the_house() -> None:
    """CONTRIBUTING: options are tuned on 100, 101, ...; 0, 1, ... are published."""
    assert split(Purpose.TEST).seeds[0] == 0
    assert split(Purpose.VALIDATION).seeds[0] == 100


@cache
def cleaned(archive: str) -> pd.DataFrame:
    """Trace of an archive, which two splits take windows from."""
    table = sites.read(DATA / "sf_celltowers" / "cells.csv")
    read = cabspotting.read(DATA / "sf_cabspotting" / archive).frame
    return clean(read, Box.around(table), label=archive)[0]


@pytest.mark.parametrize("purpose", Purpose)
def test_real_windows_follow_many_cabs(purpose: Purpose) -> None:
    found = split(purpose)
    if not (DATA / "sf_cabspotting" / found.archive).exists():
        pytest.skip(f"no real traces at {DATA}")
    for start in found.starts:
        cabs = traces.covering(
            cleaned(found.archive), start.timestamp(), WINDOW.total_seconds(), 300
        )
        assert 125 <= len(cabs) <= 250

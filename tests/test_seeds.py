"""Seeds from Python, files and the command line: each is another world, or refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import isma
from isma.errors import RunError
from isma.randomness import LARGEST_SEED, check_seeds


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        ([1, 1], "seeds must differ, got 1 twice"),
        ([1, np.int64(1)], "seeds must differ, got 1 twice"),
        ([-1], "a seed must be from 0 to 4294967295, got -1"),
        ([LARGEST_SEED + 1], "a seed must be from 0 to"),
        ([10**5000], "a seed must be from 0 to 4294967295, got one that is too long to show"),
        ([1.0], "a seed must be a whole number, got 1.0"),
        ([True], "a seed must be a whole number, got True"),
        (["1"], "a seed must be a whole number, got '1'"),
        ([None], "a seed must be a whole number, got None"),
    ],
)
def test_seeds_that_are_no_other_worlds(seeds: list[Any], said: str, tmp_path: Path) -> None:
    for run in (
        lambda: check_seeds(seeds),
        lambda: isma.compare("paper", ["nearest"], seeds, out=tmp_path / "run"),
        lambda: isma.bound("paper", seeds, ["nearest"], out=tmp_path / "run"),
    ):
        with pytest.raises(RunError) as told:
            run()
        assert said in str(told.value)
    assert list(tmp_path.iterdir()) == []


def test_seeds_are_whole_numbers_in_their_order() -> None:
    assert check_seeds([np.uint32(7), 3, LARGEST_SEED]) == (7, 3, LARGEST_SEED)
    assert [type(seed) for seed in check_seeds(np.arange(2))] == [int, int]


def test_a_training_s_seed(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="a seed must be from 0 to 4294967295, got -5"):
        isma.train("dqn", seed=-5, out=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []

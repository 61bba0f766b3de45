"""Bad links between real agents, and what becomes of the age of F on them."""

import asyncio
from pathlib import Path

import pytest

from agent import links


@pytest.mark.parametrize(("seed", "moves"), [(1, 6), pytest.param(2, 150, marks=pytest.mark.slow)])
def test_a_service_moves_over_bad_links_and_forgets_nothing(
    tmp_path: Path, seed: int, moves: int
) -> None:
    wrong, done = asyncio.run(links.play(tmp_path, seed, moves))
    assert not wrong
    assert done["messages lost"]
    assert done["messages twice"]
    assert sum(done[fault] for fault in ("cut", "hold there", "hold back", "partition")) > 1

"""Bad links between real agents, and what becomes of the age of F on them."""

import asyncio
from pathlib import Path

import pytest

from agent import ages, links
from isma.demo.hosts import free_ports


@pytest.mark.parametrize(("seed", "moves"), [(1, 6), pytest.param(2, 150, marks=pytest.mark.slow)])
def test_a_service_moves_over_bad_links_and_forgets_nothing(
    tmp_path: Path, seed: int, moves: int
) -> None:
    wrong, done = asyncio.run(links.play(tmp_path, seed, moves))
    assert not wrong
    assert done["messages lost"]
    assert done["messages twice"]
    assert sum(done[fault] for fault in ("cut", "hold there", "hold back", "partition")) > 1


@pytest.mark.slow
def test_news_comes_through_a_link_that_loses_a_fifth(tmp_path: Path) -> None:
    found = asyncio.run(ages.ages_ms(tmp_path, 0.2, 10, free_ports()))
    assert found
    assert found[len(found) // 2] < 1_000 * ages.PERIOD_S * 20

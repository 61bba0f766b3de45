"""Killed agents: real processes, `kill -9` in the middle of a hand-over."""

import asyncio
from pathlib import Path

import pytest

from agent.kills import POINTS, every

FEW = [("source", "Released", "after"), ("target", "Ready", "after")]


def test_a_hand_over_survives_kills_in_its_middle(tmp_path: Path) -> None:
    assert not asyncio.run(every(tmp_path / "kills", FEW))


@pytest.mark.slow
def test_a_hand_over_survives_a_kill_anywhere(tmp_path: Path) -> None:
    assert not asyncio.run(every(tmp_path / "kills", POINTS))

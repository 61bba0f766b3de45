"""What the planner's benchmark counts, by hand, and what it measures at all."""

from pathlib import Path

import jax
import pytest

from benchmarks import operations, peers
from benchmarks.peers import peer
from isma.model.frame import Frame
from isma.model.latent import Kind
from isma.planning.cross_entropy import Budget

BUDGET = Budget(candidates=7, iterations=2, horizon=3, elites=2)
LSTM = (60 + 280 + 200) * 800 + 4 * (200 + 200) * 800
TRANSITION = 200 * 512 + 2 * 512 * 60
REWARD = 260 * 512 + 512 * 60 + 60 * 60


def test_multiply_adds_by_hand() -> None:
    model = Frame(Kind.RLSM, 40, 6, cells=5, separate=False, largest=1.0).make(jax.random.key(0))
    assert operations.multiply_adds(model) == LSTM + TRANSITION + REWARD
    # Three passes of seven candidates with four steps each.
    assert operations.of_plan(model, BUDGET) == 2 * 84 * (LSTM + TRANSITION + REWARD)


def test_without_a_memory_there_is_no_lstm() -> None:
    model = Frame(Kind.SLSM, 40, 6, cells=5, separate=False, largest=1.0).make(jax.random.key(0))
    inputs = 60 + 280
    transition = inputs * 512 + 2 * 512 * 60
    reward = 60 * 512 + 512 * 60 + 60 * 60
    assert operations.multiply_adds(model) == transition + reward


def test_peers_are_there_or_named_and_have_our_layers() -> None:
    sizes = Frame(Kind.RLSM, 40, 6, cells=5, separate=False, largest=1.0).sizes
    found, absent = peer.find(sizes, BUDGET)
    assert len(found) + len(absent) == 2
    for one in found:
        assert one.multiply_adds == pytest.approx(LSTM + TRANSITION + REWARD, rel=0.01)
        one.plan()
    for line in absent:
        assert "not measured" in line


def test_a_peer_that_breaks_when_imported_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_cem.py").write_text("raise ValueError('an old hydra')")
    monkeypatch.setattr(peers, "__path__", [*peers.__path__, str(tmp_path)])
    monkeypatch.setattr(peer, "_MODULES", ("broken_cem",))
    found, absent = peer.find(
        Frame(Kind.RLSM, 40, 6, cells=5, separate=False, largest=1.0).sizes, BUDGET
    )
    assert not found
    assert absent == [
        "broken_cem: not measured: ValueError: an old hydra (docs/benchmarks.md, Peers)"
    ]

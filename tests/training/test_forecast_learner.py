"""Training of the forecast model: it lowers the loss, ends with the same bytes, refuses what has no use."""

from pathlib import Path

import jax
import numpy as np
import pytest
from helpers.small_worlds import tiny

from isma.errors import RunError
from isma.policies.learned.checkpoints import forecast_model_of
from isma.training import models, session
from isma.training.forecast import ForecastLearner, ForecastOptions
from isma.training.session import Progress

COSTLY = {"migration.kind": "cold", "migration.downtime_s": 0.5, "latency.per_hop_s": 0.1}
OPTIONS = ForecastOptions(
    **{
        "rounds": 3,
        "updates": 30,
        "worlds": 2,
        "test_worlds": 1,
        "periods": 40,
        "looks": 8,
        "anchors": 2,
        "rows": 14,
        "width": 8,
        "learning_rate": 1e-2,
    },
)


class _KilledError(Exception):
    pass


def learner() -> ForecastLearner:
    return ForecastLearner.make([tiny(COSTLY), tiny({**COSTLY, "latency.per_hop_s": 1.0})], OPTIONS)


@pytest.mark.slow
def test_it_learns_and_one_that_is_stopped_ends_with_the_same_bytes(tmp_path: Path) -> None:
    made = learner()
    assert [len(kind) for kind in made.kinds] == [2]

    def stop(standing: Progress) -> None:
        if standing.done_steps > made.steps_per_round:
            raise _KilledError

    path = session.run(made, {}, 0, tmp_path / "whole")
    losses = [row["test_loss"] for row in session.history(path.parent)]
    assert losses[-1] < losses[0]
    with pytest.raises(_KilledError):
        session.run(made, {}, 0, tmp_path / "stopped", stop)
    assert session.run(made, {}, 0, tmp_path / "stopped").read_bytes() == path.read_bytes()
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(forecast_model_of(path)))


def test_worlds_of_another_shape_are_another_kind() -> None:
    other = tiny({**COSTLY, "users.count": 5})
    assert len(ForecastLearner.make([tiny(COSTLY), other], OPTIONS).kinds) == 2


def test_free_moves_have_nothing_to_teach() -> None:
    with pytest.raises(RunError, match=r"scenario paper: migration.kind must not be free"):
        ForecastLearner.make([tiny()], OPTIONS)


def test_options_that_cannot_be_trained() -> None:
    for options, said in (
        ({"looks": 1}, "looks must be at least 2, got 1"),
        ({"periods": 24}, r"periods must be above looks \(24\), got 24"),
    ):
        with pytest.raises(RunError, match=said):
            models.learner("isma2", [tiny(COSTLY)], None, options)

"""Trainings that are stopped go on exactly; folders of others are refused; models learn."""

import json
from pathlib import Path

import pytest
from helpers.small_worlds import tiny

from isma import api
from isma.errors import CheckpointError, IsmaError, RunError
from isma.training import models
from isma.training.session import Progress

SMALL = {
    "random_worlds": 6,
    "scattered_worlds": 6,
    "planned_worlds": 2,
    "test_worlds": 2,
    "periods": 7,
    "length": 4,
    "updates": 4,
    "cells": 1,
}


def train(out: Path, **changes: object) -> api.Training:
    given = {"steps": 8, "options": SMALL, **changes}
    return api.train("rlsm", tiny(), out=out, **given)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not {"times", "tensorboard"} & set(path.parts)
    }


class _KilledError(Exception):
    pass


@pytest.mark.slow
def test_a_training_that_is_stopped_ends_with_the_same_bytes(tmp_path: Path) -> None:
    """Stopped in its second round; the first one is kept."""
    whole = train(tmp_path / "whole")

    def stop(standing: Progress) -> None:
        if standing.done_steps > 4:
            raise _KilledError

    with pytest.raises(_KilledError):
        train(tmp_path / "stopped", on_progress=stop)
    assert not (tmp_path / "stopped" / "rlsm.safetensors").exists()
    first = (tmp_path / "stopped" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in first] == [4]
    seen: list[int] = []
    again = train(tmp_path / "stopped", on_progress=lambda now: seen.append(now.done_steps))
    assert min(seen) == 4
    assert again.checkpoint.read_bytes() == whole.checkpoint.read_bytes()
    lines = (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 2
    one, other = (bytes_of(tmp_path / name) for name in ("whole", "stopped"))
    assert one == other, "all files but times"
    # A finished training is not run again.
    assert train(tmp_path / "whole").metrics == whole.metrics
    # Another one does not take its folder.
    with pytest.raises(RunError, match="holds another training"):
        train(tmp_path / "whole", seed=1)
    state = tmp_path / "stopped" / "state.safetensors"
    content = bytearray(state.read_bytes())
    content[-1] ^= 1
    state.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"remove .* to go on from the round before"):
        train(tmp_path / "stopped")
    state.unlink()
    seen.clear()
    train(tmp_path / "stopped", on_progress=lambda now: seen.append(now.done_steps))
    assert min(seen) == 4
    assert state.read_bytes() == one["state.safetensors"]
    for path in state.parent.glob("state*"):
        path.write_bytes(b"x")
    state.unlink()
    with pytest.raises(CheckpointError, match=r"remove .* to begin again"):
        train(tmp_path / "stopped")


@pytest.mark.slow
def test_separate_models_train(tmp_path: Path) -> None:
    made = train(tmp_path / "separate", steps=4, options={**SMALL, "separate": True})
    assert json.loads(made.checkpoint.with_suffix(".json").read_text())["frame"]["separate"]


def test_foreign_folders_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before worlds are laid out, which may take minutes."""

    def no_learner(*_: object) -> None:
        raise AssertionError("the folder is looked at first")

    monkeypatch.setattr(models, "learner", no_learner)
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(RunError, match="holds no training"):
        train(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("model", "steps", "options", "said"),
    [
        ("rlms", 1, {}, "unknown model 'rlms': did you mean 'rlsm'?"),
        ("rlsm", 0, {}, "steps must be at least 1, got 0"),
        ("rlsm", 1, {"cell": 1}, "unknown option 'cell': did you mean 'cells'?"),
        ("rlsm", 1, {"cells": 0}, "cells must be at least 1, got 0"),
        ("rlsm", 1, {"length": 40}, "length must be at most periods (24), got 40"),
        ("rlsm", 1, {"periods": 5, "length": 5}, "periods must be above 6, got 5"),
    ],
)
def test_mistakes(model: str, steps: int, options: dict, said: str) -> None:
    with pytest.raises(IsmaError) as told:
        models.learner(model, [tiny()], steps, options)
    assert said in str(told.value)
    assert "\n" not in str(told.value)

"""Folders and models that are not a reproduction's: refused before anything is laid out or trained."""

import tomllib
from pathlib import Path

import pytest

from isma.errors import CheckpointError, RunError
from isma.model import checkpoint
from isma.policies.learned.checkpoints import SHIPPED
from isma.reproduction.run import reproduce
from isma.training import models
from isma.world import files


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("file", "file is a file and no folder; give another"),
        ("new/models/dqn/mine", "new/models/dqn is not empty and holds no training"),
        ("new/fig4/compare/mine", "new/fig4/compare is not empty and holds no run"),
    ],
)
def test_folders_of_others_are_refused_first(
    path: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_learner(*_: object) -> None:
        raise AssertionError("folders are looked at first")

    monkeypatch.setattr(models, "learner", no_learner)
    place = tmp_path / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("mine")
    with pytest.raises(RunError, match=said):
        reproduce(["fig4"], "smoke", tmp_path / Path(path).parts[0])
    assert place.read_text() == "mine"


def test_models_that_were_trained_otherwise_are_refused() -> None:
    """Of the shipped DQN's own training everything fits, whatever the order of a scenario's fields."""
    path = SHIPPED / "dqn.safetensors"
    config = checkpoint.about(path)["config"]
    turned = [files.dumps(files.validate(tomllib.loads(text), "")) for text in config["scenarios"]]
    models.refuse_other_training(path, {**config, "scenarios": turned})
    others = [text.replace("duration_s = ", "duration_s = 1") for text in turned]
    for wanted, said in (
        ({"steps": 7}, "steps must be 7, got "),
        ({"scenarios": others}, "its scenarios are others"),
        ({"options": {"worlds": 3}}, "options must be"),
    ):
        with pytest.raises(RunError, match=said):
            models.refuse_other_training(path, {**config, **wanted})


def test_models_that_are_not_there_are_told_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="a checkpoint is two files"):
        reproduce(["fig4"], "smoke", tmp_path / "out", given=tmp_path)
    assert not (tmp_path / "out").exists()

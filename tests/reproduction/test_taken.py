"""Folders that are taken: a reproduction refuses them before anything is laid out or trained."""

from pathlib import Path

import pytest

from isma.errors import RunError
from isma.reproduction.run import reproduce
from isma.training import models


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

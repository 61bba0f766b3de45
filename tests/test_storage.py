"""Folders that are taken: what is said of one that holds something else."""

import json
from pathlib import Path

import pytest
import tomli_w

from isma.errors import RunError
from isma.storage import claim

HELD = {"users": {"count": 7}, "run": {"policies": ["stay"], "seeds": [0, 1], "vary": {}}}


def refused(folder: Path, name: str, text: str) -> str:
    with pytest.raises(RunError) as told:
        claim(folder, name, text, "run")
    return str(told.value)


def test_another_run_says_in_what_it_differs(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    claim(folder, "config.toml", tomli_w.dumps(HELD), "run")
    claim(folder, "config.toml", tomli_w.dumps(HELD), "run")
    other = {**HELD, "run": {"policies": ["stay", "price"], "seeds": [0, 1], "p95_limit_s": 60.0}}
    assert refused(folder, "config.toml", tomli_w.dumps(other)) == (
        f"{folder} holds another run (run.policies is ['stay'] there and ['stay', 'price'] here; "
        "run.p95_limit_s is absent there and 60.0 here); give another folder with --out, or remove "
        "that one"
    )


def test_what_differs_is_told_briefly(tmp_path: Path) -> None:
    claim(tmp_path / "mine", "config.json", json.dumps(dict.fromkeys("abcde", 0)), "run")
    said = refused(tmp_path / "mine", "config.json", json.dumps(dict.fromkeys("abcde", "x" * 99)))
    assert "; c is 0 there and 'xxx" in said
    assert "; more that differ: 2); " in said
    assert "x" * 30 not in said


def test_what_cannot_be_read_is_another(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"\xff")
    assert "holds another run; give" in refused(tmp_path, "config.toml", "a = 1\n")

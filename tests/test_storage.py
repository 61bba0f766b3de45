"""Folders that are taken: what is said of one that holds something else, or that is in use."""

import json
from pathlib import Path

import pytest
import tomli_w

from isma.errors import RunError
from isma.storage import BLANK, claimed, is_intact, sealed

HELD = {"users": {"count": 7}, "run": {"policies": ["stay"], "seeds": [0, 1], "vary": {}}}


def claim(folder: Path, name: str, text: str, what: str) -> None:
    with claimed(folder, name, text, what):
        assert (folder / name).read_text() == text


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


def test_a_table_that_is_free_becomes_what_is_wanted(tmp_path: Path) -> None:
    """More seeds in the same scenario go on there; another scenario does not."""
    with claimed(tmp_path, "config.toml", tomli_w.dumps(HELD), "run", free="run"):
        pass
    more = tomli_w.dumps({**HELD, "run": {"policies": ["price"], "seeds": [7]}})
    with claimed(tmp_path, "config.toml", more, "run", free="run"):
        assert (tmp_path / "config.toml").read_text() == more
    other = tomli_w.dumps({**HELD, "users": {"count": 8}})
    with (
        pytest.raises(RunError, match=r"another run \(users.count is 7 there and 8 here\)"),
        claimed(tmp_path, "config.toml", other, "run", free="run"),
    ):
        pass
    assert (tmp_path / "config.toml").read_text() == more


def test_a_folder_has_one_writer(tmp_path: Path) -> None:
    """The second is refused in one line, and may have the folder when the first is done."""
    folder, text = tmp_path / "mine", tomli_w.dumps(HELD)
    with claimed(folder, "config.toml", text, "run"):
        said = refused(folder, "config.toml", text)
        assert said.startswith(f"{folder} is in use by another process")
    claim(folder, "config.toml", text, "run")


def test_what_killed_processes_have_left_is_collected(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    left = [folder / ".config.toml.x1.partial", folder / "cells" / ".a.npz.x2.partial"]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("half")
    (folder / "cells" / "notes.partial").write_text("somebody's own")
    left.append(folder / "cells")
    with pytest.raises(RunError, match="is not empty"):  # A folder of others is not tidied.
        claim(folder, "config.toml", tomli_w.dumps(HELD), "run")
    assert all(path.exists() for path in left)
    (folder / "config.toml").write_text(tomli_w.dumps(HELD))
    claim(folder, "config.toml", tomli_w.dumps(HELD), "run")
    assert [path.name for path in sorted(folder.rglob("*.partial"))] == ["notes.partial"]


def test_no_bit_of_a_sealed_file_changes_unnoticed() -> None:
    content = sealed(b"what is kept" + BLANK + b" and after")
    seal = content[12:76].decode()
    assert is_intact(content, seal)
    for bit in range(8 * len(content)):
        place, hurt = bit // 8, bytearray(content)
        hurt[place] ^= 1 << bit % 8
        told = bytes(hurt[12:76]).decode(errors="replace")
        assert not is_intact(bytes(hurt), told), bit

"""Options of policies as they are typed: text becomes what the annotation asks for, or is refused."""

from enum import Enum
from pathlib import Path
from typing import Any, Literal, Optional

import pytest

from isma.errors import PolicyError
from isma.policies import registry
from isma.policies.options import kinds, parsed
from isma.policies.rules.follow import Nearest


class Mood(Enum):
    CALM = "calm"
    WILD = 2


class Ours(Nearest):
    """A class of one's own, with options of many kinds."""

    bold: bool = True
    most: Optional[int] = 3  # noqa: UP045  # as people write it
    mood: Mood = Mood.CALM
    weights: tuple[float, ...] = ()
    how: Literal["near", "far", 3] = "near"
    written: "bool" = True


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (bool, "false", False),
        (bool, "no", False),
        (bool, "0", False),
        (bool, "True", True),
        (bool | None, "none", None),
        (int, "-0", 0),
        (Optional[int], "None", None),  # noqa: UP045
        (int | None, "7", 7),
        (Mood, "WILD", Mood.WILD),
        (Mood, "2", Mood.WILD),
        (Literal["a", 3], "3", 3),
        (tuple[int, ...], "[1, 2]", (1, 2)),
        (tuple[int, ...], "[]", ()),
        (str, "false", "false"),
        (Path, "false", Path("false")),
    ],
)
def test_text_becomes_what_is_asked_for(kind: Any, text: str, value: object) -> None:
    found = parsed("p", "k", text, kind)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        (bool, "maybe", "k must be true or false, got 'maybe'"),
        (bool, "", "k must be true or false, got ''"),
        (int, "3.5", "k must be a whole number, got '3.5'"),
        (int, "9" * 5000, "k must be a whole number"),
        (float, "1e400", "k must be a finite number, got '1e400'"),
        (float, "nan", "k must be a finite number, got 'nan'"),
        (Mood, "sad", "k must be one of CALM, WILD, calm, 2, got 'sad'"),
        (Literal["a", 3], "b", "k must be one of a, 3, got 'b'"),
        (tuple[int, ...], "1", "a list in brackets"),
        (tuple[int, int], "[1]", "a list in brackets"),
        (int | None, "x", "k must be a whole number or none, got 'x'"),
        (dict, "x", "k must be dict, got 'x'"),
    ],
)
def test_what_cannot_be_read_is_refused(kind: Any, text: str, said: str) -> None:
    with pytest.raises(PolicyError) as told:
        parsed("p", "k", text, kind)
    assert said in str(told.value)
    assert len(str(told.value)) < 300


def test_a_class_of_ones_own_gets_its_options() -> None:
    typed = "bold=false:most=none:mood=WILD:weights=[0.5,2]:how=3:written=no"
    made = registry.get(f"{Ours.__module__}:Ours:{typed}")
    assert isinstance(made, Ours)
    assert (made.bold, made.most, made.mood, made.written) == (False, None, Mood.WILD, False)
    assert (made.weights, made.how) == ((0.5, 2.0), 3)


def test_an_option_without_annotation_has_its_default_s_type() -> None:
    def made(plain=False, text="a", nothing=None): ...  # type: ignore[no-untyped-def]

    assert kinds(made) == {"plain": bool, "text": str, "nothing": str}


@pytest.mark.parametrize(
    "name", ["./mine.py:Mine", "folder/mine.py:Mine", "mine-2:Mine", ".mine:Mine"]
)
def test_a_file_is_no_module(name: str) -> None:
    with pytest.raises(PolicyError, match="must name a module, not a file: type"):
        registry.get(name)


def test_a_module_that_cannot_be_imported_is_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for number, text in enumerate(("def f(:", "1 / 0", "raise OSError(3)")):
        (tmp_path / f"broken{number}.py").write_text(text)
        with pytest.raises(PolicyError, match="cannot be imported"):
            registry.get(f"broken{number}:Mine")

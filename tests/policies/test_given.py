"""Policies handed over from Python: named, told apart, and taken for nothing that they are not."""

import re
import types
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from isma.errors import PolicyError
from isma.policies import given
from isma.policies.rules.follow import Nearest, Stay, Threshold

CELL = """
import numpy as np
from isma.policies.plain_python import Decision, PlainPolicy
FACTOR = {factor}

def shares(view):
    return np.full(len(view.host), FACTOR / len(view.host))

class Mine(PlainPolicy):
    '''Written in a cell.'''
    ratio: float = 1.0

    def decide(self, view):
        return Decision({server}, self.ratio, shares(view))
"""


def cell(factor: float = 1.0, server: str = "view.host") -> Any:
    """The class that a notebook's cell defines: its module stands in no file."""
    module = types.ModuleType("__main__")
    exec(CELL.format(factor=factor, server=server), vars(module))
    return module.Mine


def test_policies_go_by_the_names_they_are_given() -> None:
    stay = Stay()
    found = given.named({"mine": stay, "price": "price", "far": "threshold:hops=3"})
    assert found == {"mine": stay, "price": "price", "far": "threshold:hops=3"}
    assert list(given.unregistered(found)) == ["mine", "far"]
    assert given.made(found["far"]) == Threshold(hops=3)


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ("price", ["price"]),
        (
            "price, nearest,isma2:destinations=[1,2]",
            ["price", "nearest", "isma2:destinations=[1,2]"],
        ),
        (["price", Nearest], ["price", "Nearest"]),
        (Nearest, ["Nearest"]),
        (Threshold(hops=2), ["Threshold"]),
        (("price", Threshold(hops=2)), ["price", "Threshold"]),
    ],
)
def test_a_text_or_one_policy_stands_for_a_list(asked: Any, names: list[str]) -> None:
    assert list(given.named(asked)) == names


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["stay", "stay"], "policies must differ, got stay twice"),
        ([Stay(), Stay()], "got Stay twice: name them, as {'a': ..., 'b': ...}"),
        ([3], "must be a name, or a class or object of isma.contract.Policy"),
        ({"": Stay()}, "a policy's name must be a text, got ''"),
        ({"x" * 61: Stay()}, "must be at most 60 characters"),
        ({"far": dict}, "must be a name, or a class or object"),
        (3, "policies must be a list, or a mapping of names, got 3"),
    ],
)
def test_what_is_no_policy_is_told(asked: Any, said: str) -> None:
    with pytest.raises(PolicyError, match=re.escape(said)):
        given.named(asked)


def test_an_object_is_known_by_code_and_fields() -> None:
    """The same cell run again is the same policy; a changed line, global or field is another."""
    same = given.identity(cell()())
    assert given.identity(cell()()) == same
    others = [cell()(ratio=0.5), cell(factor=0.5)(), cell(server="view.nearest")()]
    digests = [given.identity(one)["object"] for one in (cell()(), *others)]
    assert len(set(digests)) == 4


def test_of_a_class_in_a_file_the_file_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "from isma.policies.rules.follow import Stay\n\n\nclass Kept(Stay):\n    pass\n"
    digests = set()
    for name, added in (("kept_once", ""), ("kept_twice", "# changed\n")):
        (tmp_path / f"{name}.py").write_text(text + added)
        monkeypatch.syspath_prepend(tmp_path)
        digests.add(given.identity(__import__(name).Kept())["object"])
    assert len(digests) == 2
    assert given.identity(Threshold(hops=2)) != given.identity(Threshold(hops=3))
    assert given.identity(Threshold(hops=2)) == given.identity(Threshold(hops=2))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.arange(3.0), np.arange(3.0) + 1),
        (jnp.arange(3), np.arange(4)),
        ({"a": 1}, {"a": 2}),
        ({1, 2}, {1, 3}),
        (lambda x: x + 1, lambda x: x + 2),
        (Path("a"), Path("b")),
    ],
)
def test_what_an_object_holds_counts(one: Any, other: Any) -> None:
    made = cell()
    assert given.identity(made(ratio=one)) == given.identity(made(ratio=one))
    assert given.identity(made(ratio=one)) != given.identity(made(ratio=other))


def test_what_cannot_be_read_through_is_never_the_same() -> None:
    held = cell()(ratio=object())
    assert given.identity(held) != given.identity(held)

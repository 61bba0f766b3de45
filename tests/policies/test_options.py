"""Options of policies as they are typed: text becomes what the annotation asks for, or is refused."""

import math
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import pytest
from pydantic import Field

from isma.errors import PolicyError
from isma.policies import registry
from isma.policies.learned.checkpoints import budget_of, dlsm, known_physics, slsm
from isma.policies.options import bare, kinds, parsed
from isma.policies.pricing.forecast_plan import Planned
from isma.policies.pricing.policy import Price
from isma.policies.rules.distance_mdp import Mdp
from isma.policies.rules.follow import Nearest, Threshold
from isma.policies.rules.full_information import FullInformation


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


class Limited(Nearest):
    """A class of one's own with a range."""

    chance: Annotated[float, Field(le=1)] = 0.5


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


OUT_OF_RANGE = {
    "threshold": {"hops": ("-1", "0", "1e99", "9" * 400)},
    "greedy": {"margin": ("-0.1", "1.1"), "stay_s": ("-1", "1e30")},
    "price": {
        "margin": ("-1", "1.5"),
        "spread": ("-1e-9", "2"),
        "rivals": ("0", "-1", "1e30"),
        "moves": ("-1", "1e15"),
        "destinations": ("0", "-1"),
        "shortlist": ("0", "-5"),
        "stay_s": ("-1e-30", "1e10"),
        "downtime_weight": ("-1", "1e7"),
    },
    "isma2": {
        "margin": ("-0.1", "7"),
        "spread": ("-1",),
        "rivals": ("0",),
        "moves": ("-1",),
        "destinations": ("0",),
        "shortlist": ("0",),
        "segments": ("0", "7"),
        "places": ("0", "-1", "9999999999"),
        "stay_s": ("-1",),
        "price_decay_s": ("0", "-30", "1e30"),
        "residual_load": ("-0.1", "1.1"),
        "leaving_hops": ("-0.1", "1e7"),
        "doubt_hops2": ("-1", "1e7"),
        "downtime_weight": ("-1", "1e7"),
    },
    "mdp": {"horizon_s": ("0", "-600", "1e-30", "1e30")},
    "cell-mdp": {"horizon_s": ("0",)},
    "full-information": {"steps": ("-1",), "checks": ("0",), "margin": ("-0.01", "2")},
    "known-physics": {"discount": ("-0.1", "1.01"), "remote_price_s": ("-1", "1e30")},
    **{
        name: {"discount": ("-0.1", "2"), "remote_price_s": ("-1",)}
        for name in ("isma", "slsm", "dlsm")
    },
}
"""Values of every option that is a number, of every policy."""


def numeric(name: str) -> set[str]:
    kinds_of = kinds(registry.REGISTRY[name])
    return {key for key, kind in kinds_of.items() if bare(kind) in (int, float)}


@pytest.mark.parametrize("name", list(registry.REGISTRY))
def test_options_out_of_range_are_refused(name: str) -> None:
    """Also the kinds of number that are none; an option that is new has to be added above."""
    values = OUT_OF_RANGE.get(name, {})
    assert set(values) == numeric(name)
    for key, odd in values.items():
        for text in (*odd, "nan", "inf", "-inf"):
            with pytest.raises(PolicyError, match=f"{key} must be a ") as told:
                registry.get(f"{name}:{key}={text}")
            assert str(told.value).startswith(f"policy '{name}:{key}=")
            assert "\n" not in str(told.value)
            assert len(str(told.value)) < 500


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: Price(margin=-1.0), "price: margin must be a finite number, at least 0 and"),
        (lambda: Price(spread=math.nan), "price: spread must be"),
        (lambda: Price(rivals=math.inf), "price: rivals must be a finite number, above 0 and"),
        (lambda: Threshold(hops=0), "threshold: hops must be"),
        (lambda: Mdp(horizon_s=-1.0), "mdp: horizon_s must be"),
        (lambda: Planned(segments=7), "isma2: segments must be a whole number, at least 1 and at"),
        (lambda: FullInformation(checks=0), "full-information: checks must be"),
        (lambda: dlsm(remote_price_s=-1.0), "dlsm: remote_price_s must be a finite number, at"),
        (lambda: slsm(discount=1.5), "slsm: discount must be a finite number, at least 0 and at"),
        (
            lambda: known_physics(budget="big"),
            "policy 'known-physics': budget must be default, paper or",
        ),
        (lambda: budget_of("9999999x2x2x2"), "budget 9999999x2x2x2: a search must take at most"),
        (lambda: budget_of(f"9x{'9' * 99}x2x2"), "a search must take at most 1,000,000,000 steps"),
    ],
)
def test_ranges_hold_from_python_too(made: Callable[[], object], said: str) -> None:
    with pytest.raises(PolicyError) as told:
        made()
    assert said in str(told.value)


def test_a_class_of_ones_own_may_state_ranges() -> None:
    made = f"{Limited.__module__}:Limited"
    assert registry.get(f"{made}:chance=1").chance == 1.0  # type: ignore[attr-defined]
    with pytest.raises(PolicyError, match=r"chance must be a finite number, at most 1, got '1\.1'"):
        registry.get(f"{made}:chance=1.1")


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

"""Policies by name, with options, and anybody's class; and what is said when that goes wrong."""

from pathlib import Path

import pytest

from isma.contract import Policy
from isma.errors import PolicyError
from isma.policies import defaults, registry
from isma.policies.learned.checkpoints import SHIPPED
from isma.policies.learned.dqn import Dqn
from isma.policies.pricing.policy import Price
from isma.policies.rules.follow import Threshold

OWN_POLICY = """
import equinox as eqx
from isma.contract import Policy
from isma.policies.rules.follow import Stay

class Mine(Stay):
    name: str = eqx.field(static=True, default="x")
    weight: float = eqx.field(static=True, default=1.0)

class Needy(Stay):
    weight: float = eqx.field(static=True)

class Abstract(Policy):
    pass

not_a_class = 3
"""


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "__init__.py").write_text("")
    (tmp_path / "own" / "policy.py").write_text(OWN_POLICY)
    monkeypatch.syspath_prepend(tmp_path)
    return "own.policy"


def test_every_name_gives_a_policy() -> None:
    assert set(registry.RULES) - set(defaults.DEFAULT) == {"break-even", "mdp", "cell-mdp"}
    assert set(defaults.DEFAULT) < set(registry.RULES)
    for name, made in registry.RULES.items():
        assert type(registry.get(name)) is (Price if name == "price" else made)
    for made in registry.REGISTRY.values():
        assert made.__doc__, "a policy says what it does"


def test_options() -> None:
    made = registry.get("threshold:hops=3")
    assert isinstance(made, Threshold)
    assert made.hops == 3
    assert registry.get("price:moves=2:margin=0.5") == registry.RULES["price"](moves=2, margin=0.5)


def test_what_a_policy_reads_is_part_of_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "mdp:transitions=day.parquet"
    assert registry.get(name).transitions == Path("day.parquet")
    known = [registry.identity(name)]
    for content in (b"1", b"2"):
        Path("day.parquet").write_bytes(content)
        known.append(registry.identity(name))
    assert known[1]["files"].keys() == {"transitions"}
    assert known[0] != known[1] != known[2]
    Path("elsewhere").mkdir()
    Path("elsewhere/day.parquet").write_bytes(b"2")
    assert registry.identity("mdp:transitions=elsewhere/day.parquet") == known[2], "not its place"


def test_options_that_are_typed_or_left_out_are_the_same_policy() -> None:
    assert registry.identity("threshold") == registry.identity("threshold:hops=2")
    assert registry.identity("threshold") != registry.identity("threshold:hops=3")


def test_text_that_names_a_file_counts_with_the_file(
    own_module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole, without its ending, and in a folder; as long as there is none, the text alone."""
    monkeypatch.chdir(tmp_path)
    names = [f"{own_module}:Mine:name={value}" for value in ("w.npz", "w", "far/w.npz", "x")]
    none = [registry.identity(name) for name in names]
    Path("far").mkdir()
    for place in (Path("w.npz"), Path("far/w.npz")):
        place.write_bytes(b"1")
    first = [registry.identity(name) for name in names]
    assert [a == b for a, b in zip(none, first, strict=True)] == [False, False, False, True]
    Path("w.npz").write_bytes(b"2")
    second = [registry.identity(name) for name in names]
    assert [a == b for a, b in zip(first, second, strict=True)] == [False, False, True, True]


def test_anybodys_class(own_module: str) -> None:
    made = registry.get(f"{own_module}:Mine:weight=2.5:name=y")
    assert isinstance(made, Policy)
    assert (made.weight, made.name) == (2.5, "y")
    assert registry.get(f"{own_module}:Needy:weight=2").weight == 2.0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("pric", "unknown policy 'pric': did you mean 'price'?"),
        ("", "unknown policy ''"),
        (
            "threshold:hops=0",
            "hops must be a whole number, at least 1 and at most 1,000,000, got '0'",
        ),
        (
            "threshold:hops=x",
            "hops must be a whole number, at least 1 and at most 1,000,000, got 'x'",
        ),
        (
            "threshold:hops=1.5",
            "hops must be a whole number, at least 1 and at most 1,000,000, got '1.5'",
        ),
        ("threshold:hop=2", "unknown option 'hop': did you mean 'hops'?"),
        ("threshold:3", "options are written name=value, got '3'"),
        ("price:margin=nan", "margin must be a finite number, at least 0 and at most 1, got 'nan'"),
        (
            "price:stay_s=-1",
            "stay_s must be a finite number, at least 0 and at most 1,000,000,000, got '-1'",
        ),
        ("mdp:horizon_s=0", "horizon_s must be a finite number, at least 0.001 and"),
        ("local:x=1", "takes no options, got 'x'"),
        ("threshold:hops=2:hops=3", "option hops must be given once"),
        ("own.policy", "must name a class: package.module:Class"),
        ("own.policy:hops=3", "must name a class: package.module:Class"),
        ("own.nothing:Mine", "cannot be imported"),
        ("own.policy:Nobody", "own.policy has no Nobody"),
        ("own.policy:not_a_class", "must be a subclass of isma.contract.Policy"),
        ("own.policy:Abstract", "must say how to act: it is abstract"),
        ("own.policy:Needy", "weight must be given"),
    ],
)
def test_mistakes_are_told(name: str, said: str, own_module: str) -> None:
    with pytest.raises(PolicyError) as told:
        registry.get(name)
    assert said in str(told.value)
    assert "\n" not in str(told.value)


def test_a_switch_is_turned_on_by_its_name_alone() -> None:
    literal = registry.get("dqn:literal")
    assert isinstance(literal, Dqn)
    assert literal.literal
    plain = registry.get("dqn")
    assert isinstance(plain, Dqn)
    assert not plain.literal
    assert registry.identity("dqn:literal") == registry.identity("dqn:literal=true")
    assert registry.identity("dqn:literal") != registry.identity("dqn")
    shipped = SHIPPED / "dqn.safetensors"
    with pytest.raises(PolicyError, match="trained without literal=true, and is asked for with it"):
        registry.get(f"dqn:literal:literal_checkpoint={shipped}")
    with pytest.raises(PolicyError, match="name=value, got 'budget'"):
        registry.get("isma:budget")


def test_a_module_that_has_moved_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "of_old.py").write_text("from isma.policies.base import shared_out\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        PolicyError, match=r"isma\.policies\.base'?: it is now isma\.policies\.shared"
    ):
        registry.get("of_old:Mine")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("price:learns=0", "learns is now learn_dwell"),
        ("price:listed=6", "listed is now shortlist"),
        ("isma2:paths=2", "paths is gone"),
        ("full-information:shaken=3", "shaken is gone"),
    ],
)
def test_an_option_of_old_is_refused_with_what_became_of_it(name: str, told: str) -> None:
    with pytest.raises(PolicyError, match=told):
        registry.get(name)


def test_options_of_isma2_are_those_of_its_classes() -> None:
    made = registry.get("isma2:margin=0.2:model=false:segments=3:prices=false")
    assert (made.margin, made.prices) == (0.2, False)
    assert (made.valuation.forecast_model, made.valuation.segments) == (None, 3)

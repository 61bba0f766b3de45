"""Odd values in every field and option: each is taken, or refused in one short line; nothing else."""

import dataclasses
import random
import warnings
from typing import Any

import pytest
from helpers.small_worlds import tiny

from isma.cli import terminal
from isma.errors import IsmaError
from isma.policies import registry
from isma.simulator.params import fit
from isma.training import models
from isma.world import files
from isma.world.vary import points, scalar, vary_from

NASTY = [
    *("1e400", "-1e400", "1e-400", "1e300", "1e-300", "1e39", "-0", "-0.0", "0", "NaN", "Infinity"),
    *("9" * 5000, "-" + "9" * 400, "2147483648", "4294967296", "9223372036854775808", "1e18"),
    *("", " ", "null", "none", "true", "[]", "{}", '{"a": {"b": 1}}', "[1]", "[1,2,3]", "[2,1]"),
    *("[null,1]", '["a","b"]', "[[1,2],[3,4]]", "[1e400,2]", "[" * 5000, '{"a":' * 3000),
    *(
        "\x00",
        "a\x00b",
        "\ud800",
        "é",
        "\u202e",
        "x" * 100_000,
        "1 parsec",
        "1 s",
        "--",
        "../../etc",
    ),
    *("'", '"', "\\", "\n", "0x10", "1_000", "١", "½", "1,5", "free", "cold", "umi", "trace"),
]
MOST = 500


def refused(act: Any) -> bool:
    """Whether it is refused; an IsmaError's line must be short, and nothing else may come."""
    said = ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            act()
    except IsmaError as error:
        said = str(error) or "nothing"
    assert len(said) <= MOST
    return bool(said)


def load_and_fit(overrides: dict[str, Any]) -> None:
    fit(files.load("paper", overrides))


def some(name: str) -> list[str]:
    """A few of them, others for every name: `make test-slow` tries all."""
    return random.Random(name).sample(NASTY, 6)


def refusals_of_field(field: str, values: list[str]) -> int:
    count = 0
    for text in values:
        count += refused(lambda text=text: load_and_fit({field: scalar(text)}))
        refused(lambda text=text: points(tiny(), vary_from([f"{field}={text},1"])))
    return count


def test_odd_values_of_fields() -> None:
    assert sum(refusals_of_field(field, some(field)) for field in files.field_names()) > 100


@pytest.mark.slow
@pytest.mark.parametrize("field", sorted(files.field_names()))
def test_odd_values_of_a_field(field: str) -> None:
    assert refusals_of_field(field, NASTY) > 0  # Nobody takes all of them.


ODD = [10**5000, -(10**400), 1e308, b"x", object(), {1: 2}, [[]], set()]


@pytest.mark.parametrize("number", range(len(ODD)))  # Pytest itself cannot show all of them.
def test_odd_values_from_python(number: int) -> None:
    taken = [
        field
        for field in files.field_names()
        if not refused(lambda field=field: load_and_fit({field: ODD[number]}))
    ]
    # Bytes are text, and an empty set is no classes.
    assert set(taken) <= {"name", "description", "services"}


def refusals_of_policy(name: str, values: list[str]) -> int:
    keys = ("checkpoint", "hops", "budget", "stay_s", "odd", "", "\x00")
    return sum(
        refused(lambda text=text, key=key: registry.get(f"{name}:{key}={text}"))
        for text in values
        for key in keys
    )


def test_odd_options_of_policies() -> None:
    assert sum(refusals_of_policy(name, some(name)[:2]) for name in registry.REGISTRY) > 100


@pytest.mark.slow
@pytest.mark.parametrize("name", list(registry.REGISTRY))
def test_odd_options_of_a_policy(name: str) -> None:
    assert refusals_of_policy(name, NASTY) > 100


def test_odd_names_of_policies() -> None:
    for text in NASTY:
        assert refused(lambda text=text: registry.get(text))
        assert refused(lambda text=text: registry.get(f"{text}:Mine"))
        assert refused(lambda text=text: registry.get(f"{text}:{text}"))


@pytest.mark.parametrize("name", models.NAMES)
def test_odd_options_of_trainings(name: str) -> None:
    kind = [field.name for field in dataclasses.fields(models.model_of(name).options)]
    count = 0
    for field in (*kind, "odd", "\x00"):
        for text in some(f"{name} {field}"):
            count += refused(
                lambda text=text, field=field: models.options_of(name, {field: scalar(text)})
            )
    assert count > 20


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_files_with_bytes_changed(seed: int, tmp_path: Any) -> None:
    """Presets as written, with bytes and tokens changed, cut and doubled."""
    draw = random.Random(seed)
    whole = files.dumps(files.load(draw.choice(files.preset_names()))).encode()
    path = tmp_path / "mine.toml"
    count = 0
    for _ in range(100):
        text = bytearray(whole)
        for _ in range(draw.randint(1, 4)):
            place = draw.randrange(len(text))
            match draw.randrange(5):
                case 0:
                    text[place] = draw.randrange(256)
                case 1:
                    del text[place : place + draw.randrange(40)]
                case 2:
                    text[place:place] = draw.choice(NASTY).encode("utf-8", "surrogatepass")
                case 3:
                    text[place:place] = text[: draw.randrange(200)]
                case 4:
                    spot = text.find(b"=", place)
                    end = text.find(b"\n", spot)
                    if 0 <= spot < end:
                        text[spot + 1 : end] = draw.choice(NASTY).encode("utf-8", "surrogatepass")
        path.write_bytes(bytes(text))
        count += refused(lambda: fit(files.load(path)))
    assert count > 20


def test_odd_times_of_options() -> None:
    for text in NASTY:
        refused(lambda text=text: terminal.seconds(text))
        refused(lambda text=text: terminal.moment(text))
        refused(lambda text=text: terminal.overrides_of([text]))

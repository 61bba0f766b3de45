"""Parts that all commands share: options, and values as they are typed."""

import os
import re
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any

import typer

from isma import units
from isma.cli.completion import complete_scenario
from isma.errors import PolicyError, RunError, ScenarioError, short
from isma.world import files
from isma.world.vary import scalar

ScenarioArgument = Annotated[
    str,
    typer.Argument(help="a preset's name or a TOML file", autocompletion=complete_scenario),
]
EngineOption = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="what computes: threads, processes, submitit, ray or dask, with options as "
        "submitit:jobs=8,timeout_min=60",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="override a field of the scenario"),
]


MOST_SEEDS = 100_000


def overrides_of(texts: list[str] | None) -> dict[str, Any]:
    """Fields by dotted name and values of `--set`, each field once. Raises ScenarioError."""
    return _pairs(texts, "--set FIELD=VALUE", files.full_name)


def options_of(texts: list[str] | None) -> dict[str, Any]:
    """Names and values of `--option`, each name once. Raises ScenarioError."""
    return _pairs(texts, "--option NAME=VALUE", str)


def _pairs(texts: list[str] | None, written: str, known: Callable[[str], str]) -> dict[str, Any]:
    found = {}
    for text in texts or []:
        field, equals, value = text.partition("=")
        name, option = known(field.strip()), written.partition(" ")[0]
        if not equals:
            raise ScenarioError(
                f"{option} is written {written.partition(' ')[2]}, got {short(text)!r}"
            )
        if name in found:
            raise ScenarioError(f"{option} names {short(name)} twice: keep one of the two")
        found[name] = scalar(value)
    return found


def policy_names(text: str) -> list[str]:
    """Policies as typed, separated by commas. A class of one's own is then looked up in this folder too.

    Only a typed name opens the folder to imports, and installed packages take precedence: no other file
    of the folder runs.
    """
    from isma.policies import (  # Not before a command runs: they import every policy.
        given,
        registry,
    )

    names = given.split(text)
    if any(map(registry.is_outside, names)) and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    return names


def named(typed: str | None, again: Mapping[str, Any], source: str) -> list[str]:
    """Policies as typed, or else those of a run's table `[run]`; empty without either.

    Raises PolicyError where a file names code that is not isma's: such a policy has to be typed.
    """
    if typed is not None:
        return policy_names(typed)
    from isma.policies import registry

    kept = list(again.get("policies", []))
    for name in [one for one in kept if one in again.get("given", {})]:
        raise PolicyError(
            f"{source}: {name!r} was given from Python ({again['given'][name]}): go on from there, or "
            "type --policies"
        )
    registry.refuse_outside(kept, source, f"if you trust it, type --policies {','.join(kept)}")
    return kept


def seeds_of(text: str | None) -> list[int] | None:
    """Seeds as typed: a number of worlds, or the first and the last of a range. Raises RunError."""
    if text is None:
        return None
    form = re.fullmatch(r"\s*(?:(\d{1,9})\.\.)?(-?\d{1,9})\s*", text)
    if form is None:
        raise RunError(f"--seeds must be a number as 5, or a range as 100..107, got {text!r}")
    first, last = int(form[1] or 0), int(form[2]) - (form[1] is None)
    if form[1] is None and last < 0:
        raise RunError(f"--seeds must be at least 1, got {text}")
    if last < first:
        raise RunError(f"--seeds must be a range that rises, as 100..107, got {text}")
    if last - first >= MOST_SEEDS:
        raise RunError(f"--seeds must be at most {MOST_SEEDS:,} worlds, got {last - first + 1:,}")
    return list(range(first, last + 1))


def moment(text: str | None) -> datetime | None:
    """A moment with its time zone. Raises ScenarioError."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ScenarioError(
            f"--start must be a moment like 2008-05-31T18:00:00Z, got {text!r}"
        ) from None
    if found.tzinfo is None:
        raise ScenarioError(f"--start must carry a time zone (2008-05-31T18:00:00Z), got {text!r}")
    return found


def seconds(
    text: str | None, option: str = "--duration", *, from_zero: bool = False
) -> float | None:
    """A length of time above 0 (or from 0 on), with a unit or in seconds. Raises ScenarioError."""
    return _quantity(text, option, units.SECONDS, from_zero)


def metres_per_second(text: str | None, option: str = "--max-speed") -> float | None:
    """A speed above 0, with a unit or in metres per second. Raises ScenarioError."""
    return _quantity(text, option, units.METRES_PER_S, False)


def cycles(text: str | None, option: str) -> float | None:
    """CPU cycles above 0, with a unit or without. Raises ScenarioError."""
    return _quantity(text, option, units.CYCLES, False)


def _quantity(
    text: str | None, option: str, known: dict[str, float], from_zero: bool
) -> float | None:
    if text is None:
        return None
    try:
        value = units.quantity(text, known)
    except ValueError as error:
        raise ScenarioError(f"{option} {error}, got {text!r}") from None
    least = "0 or more" if from_zero else "above 0"
    if not isinstance(value, float) or not 0 <= value < float("inf"):
        raise ScenarioError(f"{option} must be {least}, got {text!r}")
    if value == 0 and not from_zero:
        raise ScenarioError(f"{option} must be {least}, got {text!r}")
    return value

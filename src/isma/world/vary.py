"""Scenarios at several values of a field, as they are typed on the command line."""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from isma.errors import ScenarioError, short
from isma.world import dependencies, files
from isma.world.scenario import Scenario

Vary = Mapping[str, tuple[Any, ...]]
"""Fields by dotted name, and the values that each takes."""


@dataclass(frozen=True)
class Point:
    """One setting of the varied fields."""

    values: Mapping[str, Any]
    scenario: Scenario


def points(scenario: Scenario, vary: Vary) -> list[Point]:
    """Every combination of the varied fields' values. Raises ScenarioError.

    A field that changes nothing at any of them is refused, and so are two ways to write one value.
    """
    for field, values in vary.items():
        for value in values:
            if isinstance(value, list | tuple | dict):
                raise ScenarioError(_no_lists(field, value))
    made_points: list[Point] = []
    for values in itertools.product(*vary.values()):
        chosen = dict(zip(vary, values, strict=True))
        made = files.override(scenario, chosen, varied=vary) if chosen else scenario
        made_points.append(Point(chosen, made))
    for field in vary:
        _refuse_idle(field, [point.scenario for point in made_points])
    _refuse_same(made_points)
    return made_points


def _no_lists(field: str, value: object) -> str:
    return (
        f"--vary {field}: values must be single numbers or words, got {short(value)}: compare lists one "
        f"by one, with --set {field}=[...]"
    )


def _refuse_same(points: Sequence[Point]) -> None:
    """Refuse points that are one world: 5 and 5.0, 2 GHz and 2000 MHz."""
    first_values: dict[str, Mapping[str, Any]] = {}
    for point in points:
        same = first_values.setdefault(files.dumps(point.scenario), point.values)
        if same is not point.values:
            one, other = (short(dict(values), 100) for values in (same, point.values))
            raise ScenarioError(f"values must differ, and these are the same world: {one}, {other}")


def _refuse_idle(field: str, scenarios: Sequence[Scenario]) -> None:
    if field in dependencies.LABELS:
        raise ScenarioError(f"{field} is a label and changes no number: vary another field")
    lacking = [dependencies.idle(field, scenario) for scenario in scenarios]
    first = lacking[0] if lacking else None
    if first is not None and None not in lacking:
        raise ScenarioError(dependencies.said(field, scenarios[0], first))


def vary_from(text: Sequence[str]) -> Vary:
    """Read `FIELD=v1,v2,…` as typed, one for each varied field."""
    varied: dict[str, tuple[Any, ...]] = {}
    for item in text:
        field, equals, values = item.partition("=")
        if not equals or not values:
            raise ScenarioError(f"--vary is written FIELD=v1,v2,..., got {short(item)!r}")
        name = files.full_name(field.strip())
        if name in varied:
            raise ScenarioError(f"--vary names {name} twice")
        if "[" in values:
            raise ScenarioError(_no_lists(name, values))
        parts = [scalar(part) for part in values.split(",")]
        if len(set(map(str, parts))) < len(parts):
            raise ScenarioError(f"--vary {name}: values must differ, got {short(values)}")
        varied[name] = tuple(parts)
    return varied


def scalar(text: str) -> Any:
    """A value as typed on the command line: number, boolean, list in brackets, or text.

    Raises ScenarioError for one that no field could have.
    """
    text = text.strip()
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
    except (ValueError, RecursionError):  # Thousands of digits, or of brackets.
        raise ScenarioError(f"a value must be shorter, got {short(text)!r}") from None

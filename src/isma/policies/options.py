"""Options of policies: text parsed by a field's annotation, and the ranges that annotations state."""

import inspect
import math
import operator
import reprlib
from collections.abc import Callable, Collection, Mapping
from enum import Enum
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    PydanticSchemaGenerationError,
    TypeAdapter,
    ValidationError,
)
from pydantic.fields import FieldInfo

from isma.errors import PolicyError, given, short

Part = Annotated[float, Field(ge=0, le=1)]
"""A part of a whole, or a probability."""
Duration = Annotated[float, Field(ge=0, le=1e9)]
"""Seconds, to thirty years."""
PositiveDuration = Annotated[float, Field(gt=0, le=1e9)]
"""Seconds, of which there are some."""
Factor = Annotated[float, Field(ge=0, le=1e6)]
"""A factor of a cost."""
Distance = Annotated[float, Field(ge=0, le=1e6)]
"""Hops over the backhaul."""
_MANY = 1_000_000
Count = Annotated[int, Field(ge=0, le=_MANY)]
Positive = Annotated[int, Field(ge=1, le=_MANY)]
_RULES = {
    "ge": ("at least", operator.ge),
    "gt": ("above", operator.gt),
    "le": ("at most", operator.le),
    "lt": ("below", operator.lt),
}
"""Words and tests of the limits that an annotation may state."""


def check(policy: str, key: str, value: Any, kind: object) -> None:
    """Refuse a number that is not within the limits of its annotation, or is none. Raises PolicyError."""
    if not all(_RULES[rule][1](value, limit) for rule, limit in _limits(kind).items()):
        raise PolicyError(f"{policy}: {key} must be {_wanted(kind)}, got {given(value)}")


def check_fields(policy: str, made: object) -> None:
    """Refuse a policy, or a part of one, with a field out of its annotation's range. Raises PolicyError."""
    for key, kind in kinds(type(made)).items():
        check(policy, key, getattr(made, key), kind)


def _limits(kind: object) -> dict[str, float]:
    """Limits that an annotation states, by their names there."""
    stated = get_args(kind)[1:] if get_origin(kind) is Annotated else ()
    return {
        rule: getattr(part, rule)
        for field in stated
        if isinstance(field, FieldInfo)
        for part in field.metadata
        for rule in _RULES
        if hasattr(part, rule)
    }


def bare(kind: object) -> object:
    """The type in an annotation."""
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def parsed(name: str, key: str, text: str, kind: object) -> object:
    """An option as its annotation has it. Raises PolicyError."""
    asked_for = bare(kind)
    optional = type(None) in get_args(asked_for)
    if optional and text.lower() in ("none", "null", ""):
        return None
    listed = get_origin(asked_for) in (tuple, list) or asked_for in (tuple, list)
    given: object = text
    if listed and text.startswith("[") and text.endswith("]"):
        given = [part.strip() for part in text[1:-1].split(",") if part.strip()]
    chosen = _choices(asked_for)
    try:
        if chosen:
            return chosen[text]
        settled = ConfigDict(arbitrary_types_allowed=True)
        asked: Any = kind if optional or listed else Annotated[kind, _FINITE]
        return TypeAdapter(asked, config=settled).validate_python(given)
    except (KeyError, ValidationError, PydanticSchemaGenerationError, OverflowError):
        raise PolicyError(
            f"policy {short(name)!r}: {short(key)} must be {_wanted(kind)}, got {reprlib.repr(text)}"
        ) from None


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must be finite")
    return value


_FINITE = AfterValidator(_finite)


def _choices(kind: object) -> dict[str, object]:
    """Values of an Enum or a Literal by their text; empty for any other kind."""
    if get_origin(kind) is Literal:
        return {str(value): value for value in get_args(kind)}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {**kind.__members__, **{str(member.value): member for member in kind}}
    return {}


def _wanted(kind: object) -> str:
    """Rule that an annotation states, in words."""
    limits = [f"{_RULES[rule][0]} {limit:,.10g}" for rule, limit in _limits(kind).items()]
    if limits:
        return f"{_wanted(bare(kind))}, {' and '.join(limits)}"
    kind = bare(kind)
    if chosen := _choices(kind):
        return f"one of {', '.join(chosen)}"
    if get_origin(kind) is tuple:
        return f"a list in brackets, as [1,2] ({kind})"
    words = {int: "a whole number", float: "a finite number", bool: "true or false"}
    parts = [part for part in get_args(kind) or (kind,) if part is not type(None)]
    kinds = " or ".join(words.get(part, getattr(part, "__name__", str(part))) for part in parts)
    return f"{kinds} or none" if type(None) in get_args(kind) else kinds


def kinds(made: Callable[..., object]) -> dict[str, object]:
    """Kind of each option: its annotation, or without one the type of its default."""
    try:
        fields = inspect.signature(made, eval_str=True).parameters
    except (NameError, TypeError, SyntaxError):  # Written as text that says nothing here.
        fields = inspect.signature(made).parameters
    found: dict[str, object] = {}
    for key, field in fields.items():
        kind = field.annotation
        if kind is field.empty or isinstance(kind, str):
            plain = type(field.default) in (bool, int, float, str)
            kind = type(field.default) if plain else str
        found[key] = kind
    return found


def takes(
    *classes: type, without: Collection[str] = ()
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator that gives a function of `**options` the classes' fields as its options."""

    def decorate(made: Callable[..., Any]) -> Callable[..., Any]:
        own = [
            field
            for field in inspect.signature(made, eval_str=True).parameters.values()
            if field.kind is not field.VAR_KEYWORD
        ]
        given = [
            field.replace(kind=field.KEYWORD_ONLY)
            for one in classes
            for field in inspect.signature(one, eval_str=True).parameters.values()
            if field.name not in without
        ]
        setattr(made, "__signature__", inspect.Signature([*own, *given]))  # noqa: B010
        return made

    return decorate


def fields_of(one: type, options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options that are fields of a class, and the others."""
    known = inspect.signature(one).parameters
    own = {key: value for key, value in options.items() if key in known}
    return own, {key: value for key, value in options.items() if key not in known}


FORMER: Mapping[str, Mapping[str, str]] = {
    "price": {"learns": "is now learn_dwell", "listed": "is now shortlist"},
    "isma2": {
        "paths": "is gone: one expected future is planned along, as was the default",
        "caution": "is gone: a stop costs what it costs while it lasts, and needs no factor",
    },
    "full-information": {"shaken": "is gone: three users are moved in the perturbed copy"},
}
"""Former options of policies, and what replaces them."""

FORMER_MODULES: Mapping[str, str] = {
    "isma.policies.base": "isma.policies.shared",
    "isma.policies.plain": "isma.policies.rules.local_random",
    "isma.policies.follow": "isma.policies.rules.follow",
    "isma.policies.greedy": "isma.policies.rules.greedy",
    "isma.policies.price": "isma.policies.pricing.policy",
    "isma.policies.isma2": "isma.policies.pricing.forecast_plan",
    "isma.policies.learned": "isma.policies.learned.checkpoints",
    "isma.policies.mistakes": "isma.policies.plain_python",
    "isma.policies.dqn": "isma.policies.learned.dqn",
    "isma.policies.drac": "isma.policies.learned.drac",
    "isma.policies.known_physics": "isma.policies.learned.known_physics",
    "isma.policies.latent": "isma.policies.learned.latent_planner",
    "isma.policies.planner": "isma.policies.learned.cross_entropy_planner",
    "isma.policies.turns": "isma.policies.learned.sequential",
    "isma.policies.sight": "isma.policies.learned.features",
    "isma.planning.pools": "isma.planning.segment_sums",
    "isma.planning.nearby": "isma.planning.shortlist",
    "isma.planning.ahead": "isma.planning.migration_path",
}
"""Modules that people's policies may import, by their former names."""

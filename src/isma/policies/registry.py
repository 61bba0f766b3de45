"""Policies by name: `price`, `threshold:hops=3`, or anybody's class as `package.module:Class`."""

import dataclasses
import importlib
import inspect
import math

from isma.contract import Policy
from isma.errors import PolicyError, unknown
from isma.policies.follow import Nearest, Stay, Threshold
from isma.policies.full_information import FullInformation
from isma.policies.greedy import Greedy
from isma.policies.plain import Local, Random
from isma.policies.price import Price

REGISTRY: dict[str, type[Policy]] = {
    "local": Local,
    "random": Random,
    "stay": Stay,
    "nearest": Nearest,
    "threshold": Threshold,
    "greedy": Greedy,
    "price": Price,
    "full-information": FullInformation,
}

DEFAULT = tuple(REGISTRY)
"""What `isma compare` runs when no policies are named."""


def get(name: str) -> Policy:
    """The policy of that name, with options after colons. Raises PolicyError."""
    head, *rest = name.split(":")
    if head in REGISTRY:
        made = REGISTRY[head]
    elif rest and "=" not in rest[0]:
        made, rest = _imported(head, rest[0]), rest[1:]
    elif "." in head:
        raise PolicyError(f"policy {name!r} must name a class: package.module:Class")
    else:
        raise PolicyError(unknown("policy", head, REGISTRY) + ", or package.module:Class")
    return _with_options(name, made, rest)


def _imported(module: str, attribute: str) -> type[Policy]:
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise PolicyError(f"policy {module}:{attribute} cannot be imported: {error}") from None
    except AttributeError:
        raise PolicyError(f"policy {module}:{attribute}: {module} has no {attribute}") from None
    if not (isinstance(found, type) and issubclass(found, Policy)):
        raise PolicyError(f"policy {module}:{attribute} must be a subclass of isma.contract.Policy")
    if inspect.isabstract(found):
        raise PolicyError(f"policy {module}:{attribute} must say how to act: it is abstract")
    return found


def _with_options(name: str, made: type[Policy], options: list[str]) -> Policy:
    fields = {field.name: field for field in dataclasses.fields(made)}
    values = {}
    for option in options:
        key, equals, text = option.partition("=")
        if not equals:
            raise PolicyError(f"policy {name!r}: options are written name=value, got {option!r}")
        if key not in fields:
            raise PolicyError(
                f"policy {name!r}: "
                + (unknown("option", key, fields) if fields else f"takes no options, got {key!r}")
            )
        values[key] = _parsed(name, key, text, fields[key].type)
    needed = [key for key in fields if _is_needed(fields[key]) and key not in values]
    if needed:
        raise PolicyError(
            f"policy {name!r}: {needed[0]} must be given, as {name}:{needed[0]}=value"
        )
    return made(**values)


def _is_needed(field: dataclasses.Field) -> bool:
    missing = dataclasses.MISSING
    return field.init and field.default is missing and field.default_factory is missing


def _parsed(name: str, key: str, text: str, kind: object) -> int | float | str:
    if kind not in (int, float):
        return text
    try:
        value = int(text) if kind is int else float(text)
        if not math.isfinite(value):
            raise ValueError
        return value
    except ValueError:
        wanted = "a whole number" if kind is int else "a finite number"
        raise PolicyError(f"policy {name!r}: {key} must be {wanted}, got {text!r}") from None

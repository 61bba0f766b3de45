"""Policies by name: `price`, `threshold:hops=3`, or a user's class as `package.module:Class`."""

import importlib
import inspect
import os
import reprlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from isma import sources
from isma.contract import Policy
from isma.errors import PolicyError, short, unknown
from isma.policies import options as options_of
from isma.policies.learned.checkpoints import (
    dlsm,
    dqn,
    drac,
    ippo,
    isma,
    isma2,
    known_physics,
    mappo,
    slsm,
)
from isma.policies.pricing.policy import price
from isma.policies.rules.cell_mdp import CellMdp
from isma.policies.rules.distance_mdp import Mdp
from isma.policies.rules.follow import Nearest, Stay, Threshold
from isma.policies.rules.full_information import FullInformation
from isma.policies.rules.greedy import Greedy
from isma.policies.rules.local_random import Local, Random
from isma.policies.rules.ski_rental import BreakEven
from isma.storage import digest

RULES: dict[str, Callable[..., Policy]] = {
    "local": Local,
    "random": Random,
    "stay": Stay,
    "nearest": Nearest,
    "threshold": Threshold,
    "greedy": Greedy,
    "price": price,
    "break-even": BreakEven,
    "mdp": Mdp,
    "cell-mdp": CellMdp,
    "full-information": FullInformation,
}
"""Rules, and the reference that sees everything."""

LEARNED: dict[str, Callable[..., Policy]] = {
    "isma2": isma2,
    "isma": isma,
    "slsm": slsm,
    "dlsm": dlsm,
    "dqn": dqn,
    "drac": drac,
    "ippo": ippo,
    "mappo": mappo,
    "known-physics": known_physics,
}
"""Policies that need a checkpoint; the package brings one of each for the preset `paper`."""

REGISTRY: dict[str, Callable[..., Policy]] = {**RULES, **LEARNED}


def get(name: str) -> Policy:
    """The policy of that name, with options after colons. Raises PolicyError."""
    made, options = _parts(name)
    return made(**_values(name, made, options))


def is_outside(name: str) -> bool:
    """Whether a name stands for a class outside isma, and so for third-party code."""
    head, *rest = name.split(":")
    return head not in REGISTRY and bool(rest) and "=" not in rest[0]


def refuse_outside(names: Iterable[str], where: object, way_out: str) -> None:
    """Refuse names of classes that a file has brought: it may come from anyone. Raises PolicyError."""
    for name in names:
        if is_outside(name):
            raise PolicyError(
                f"{where} names the policy {reprlib.repr(name)}, and a file cannot ask for code to be "
                f"run: {way_out}"
            )


def identity(name: str) -> Mapping[str, Any]:
    """Identity of a policy: all that its decisions depend on, code, options and the files that they name.

    Of a path only the file's bytes count, and those of a sidecar. Raises PolicyError.
    """
    made, options = _parts(name)
    values = _values(name, made, options)
    files = {key: _content(value) for key, value in values.items()}
    return {
        "made": f"{made.__module__}:{made.__qualname__}",
        "code": sources.of_policy(made),
        "options": {
            key: value
            for key, value in values.items()
            if not (files[key] and isinstance(value, Path))
        },
        "files": {key: found for key, found in files.items() if found},
    }


def checkpoints(name: str) -> list[Path]:
    """Files of weights that a policy loads. Raises PolicyError."""
    made, options = _parts(name)
    values = _values(name, made, options)
    return [value for value in values.values() if isinstance(value, Path)]


def _content(value: object) -> dict[str, str]:
    """Digests of the file or folder that an option names, and of its sidecars."""
    if not isinstance(value, Path | str):
        return {}
    path = Path(value)
    try:
        if not path.name or not path.parent.is_dir():
            return {}
        if path.is_dir() and (isinstance(value, Path) or os.sep in value):
            found = [one for one in path.rglob("*") if one.is_file()]
        else:
            alike = [one for one in path.parent.iterdir() if one.stem in (path.name, path.stem)]
            found = [one for one in alike if one.is_file()]
        return {str(one.relative_to(path.parent)): digest(one.read_bytes()) for one in found}
    except (OSError, ValueError):  # The policy that loads the file reports that it cannot be read.
        return {}


def _parts(name: str) -> tuple[Callable[..., Policy], list[str]]:
    head, *rest = name.split(":")
    if head in REGISTRY:
        return REGISTRY[head], rest
    if is_outside(name):
        return _imported(head, rest[0]), rest[1:]
    if "." in head:
        raise PolicyError(f"policy {short(name)!r} must name a class: package.module:Class")
    raise PolicyError(unknown("policy", head, REGISTRY, "package.module:Class"))


def _imported(module: str, attribute: str) -> type[Policy]:
    if not all(part.isidentifier() for part in module.split(".")):
        stem = Path(module).stem
        meant = f"{stem}:{attribute}" if stem.isidentifier() else "package.module:Class"
        raise PolicyError(
            f"policy {reprlib.repr(f'{module}:{attribute}')} must name a module, not a file: type "
            f"{meant} in the folder where it lies"
        )
    try:
        policy = getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        now = options_of.FORMER_MODULES.get(error.name or "")
        way_out = f": it is now {now}" if now else ""
        raise PolicyError(
            f"policy {module}:{attribute} cannot be imported: {error}{way_out}"
        ) from None
    except AttributeError:
        raise PolicyError(f"policy {module}:{attribute}: {module} has no {attribute}") from None
    except Exception as error:  # A user's module may raise anything on import.
        message = " ".join(f"{type(error).__name__}: {error}".split())
        raise PolicyError(f"policy {module}:{attribute} cannot be imported: {message}") from error
    if not (isinstance(policy, type) and issubclass(policy, Policy)):
        raise PolicyError(f"policy {module}:{attribute} must be a subclass of isma.contract.Policy")
    if inspect.isabstract(policy):
        raise PolicyError(f"policy {module}:{attribute} must say how to act: it is abstract")
    return policy


def _values(name: str, made: Callable[..., Policy], options: list[str]) -> dict[str, object]:
    fields, kinds = inspect.signature(made).parameters, options_of.kinds(made)
    values: dict[str, object] = {
        key: field.default for key, field in fields.items() if field.default is not field.empty
    }
    given: set[str] = set()
    for option in options:
        key, equals, text = option.partition("=")
        if not equals and kinds.get(key) is bool:
            text = "true"
        elif not equals:
            raise PolicyError(
                f"policy {short(name)!r}: options are written name=value, got {short(option)!r}"
            )
        former = options_of.FORMER.get(name.partition(":")[0], {}).get(key)
        if former is not None:
            raise PolicyError(f"policy {short(name)!r}: {key} {former}")
        if key not in fields:
            raise PolicyError(
                f"policy {short(name)!r}: "
                + (
                    unknown("option", key, fields)
                    if fields
                    else f"takes no options, got {short(key)!r}"
                )
            )
        if key in given:
            raise PolicyError(f"policy {short(name)!r}: option {key} must be given once")
        given.add(key)
        values[key] = options_of.parsed(name, key, text, kinds[key])
    needed = [key for key in fields if key not in values]
    if needed:
        raise PolicyError(
            f"policy {short(name)!r}: {needed[0]} must be given, as {name}:{needed[0]}=value"
        )
    return values

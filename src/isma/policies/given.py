"""Policies handed over from Python: names, classes and objects, also those of a notebook's cell."""

import functools
import hashlib
import inspect
import re
import uuid
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import PurePath
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from isma import sources
from isma.contract import Policy
from isma.errors import PolicyError, given
from isma.policies import registry

Asked = str | Policy | type[Policy]
"""A policy as a person asks for it: its name, its class, or an object of it."""
_LONGEST_NAME = 60


def split(text: str) -> list[str]:
    """Names of policies in a text, separated by commas; a comma in brackets is part of an option."""
    return [name.strip() for name in re.split(r",(?![^\[]*\])", text)]


def named(asked: object) -> dict[str, str | Policy]:
    """Policies by the names that a comparison gives them: each a registered name, or an object.

    A list of names, classes and objects, one of those, a mapping from names to them, or a text with
    names and commas. Raises PolicyError.
    """
    if isinstance(asked, str):
        asked = split(asked)
    if isinstance(asked, Policy) or inspect.isclass(asked):
        asked = [asked]
    if isinstance(asked, Mapping):
        return {_label(name): _made(one) for name, one in asked.items()}
    if not isinstance(asked, Iterable):
        raise PolicyError(f"policies must be a list, or a mapping of names, got {given(asked)}")
    found: dict[str, str | Policy] = {}
    for one in asked:
        made = _made(one)
        name = made if isinstance(made, str) else type(made).__name__
        if name in found:
            way_out = "" if isinstance(made, str) else ": name them, as {'a': ..., 'b': ...}"
            raise PolicyError(f"policies must differ, got {name} twice{way_out}")
        found[name] = made
    return found


def unregistered(policies: Mapping[str, str | Policy]) -> dict[str, str | Policy]:
    """Policies that their name alone does not identify: objects, and policies under another name."""
    return {name: one for name, one in policies.items() if not isinstance(one, str) or one != name}


def made(policy: str | Policy) -> Policy:
    """The policy of that name, or the object itself. Raises PolicyError."""
    return registry.get(policy) if isinstance(policy, str) else policy


def described(policy: str | Policy) -> str:
    """Words for a policy given under a name."""
    if isinstance(policy, str):
        return policy
    return f"an object of {type(policy).__module__}:{type(policy).__qualname__}"


def identity(policy: str | Policy) -> Mapping[str, Any]:
    """Identity of a policy: of an object its class, that class's code, and all its state.

    State that cannot be read is a new identity each time, so that no stored result is taken for its.
    """
    if isinstance(policy, str):
        return registry.identity(policy)
    return {"made": type(policy).__qualname__, "object": _Digest().of(policy)}


def _label(name: object) -> str:
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise PolicyError(f"a policy's name must be a text, got {given(name)}")
    if len(name) > _LONGEST_NAME:
        raise PolicyError(
            f"a policy's name must be at most {_LONGEST_NAME} characters, got {given(name)}"
        )
    return name


def _made(one: object) -> str | Policy:
    if isinstance(one, str | Policy):
        return one
    if isinstance(one, type) and issubclass(one, Policy):
        if inspect.isabstract(one):
            raise PolicyError(f"policy {one.__qualname__} must say how to act: it is abstract")
        try:
            return one()
        except TypeError as error:
            raise PolicyError(
                f"policy {one.__qualname__} must be given as an object, with its options: {error}"
            ) from None
    raise PolicyError(
        "a policy must be a name, or a class or object of isma.contract.Policy or "
        f"isma.policies.plain_python.PlainPolicy, got {given(one)}"
    )


_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...))
_LEFT_OUT = {"__dict__", "__weakref__", "__module__", "__doc__", "__annotations__", "_abc_impl"}
"""Attributes of a class without effect on its behaviour."""
_GENERATED = "<string>"
"""File of a method that `dataclass` writes from the fields, which count themselves."""


class _Digest:
    """Digest of a value and of all code and data that it leads to."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._seen: dict[int, int] = {}
        self._kept: list[object] = []  # No other object gets the place of one that has been seen.

    def of(self, value: object) -> str:
        """The digest."""
        self._add(value)
        return self._hash.hexdigest()

    def _tell(self, *words: object) -> None:
        self._hash.update(("\0".join(map(str, words)) + "\n").encode(errors="backslashreplace"))

    def _add(self, value: Any) -> None:
        if isinstance(value, _PLAIN):
            self._tell(type(value).__name__, repr(value))
            return
        if id(value) in self._seen:
            self._tell("again", self._seen[id(value)])
            return
        self._seen[id(value)] = len(self._seen)
        self._kept.append(value)
        self._tell(type(value).__name__)
        if not self._add_data(value) and not self._add_code(value):
            self._add_object(value)

    def _add_data(self, value: Any) -> bool:
        """Collections and numbers."""
        match value:
            case Mapping():
                for key, one in value.items():
                    self._add(key)
                    self._add(one)
            case tuple() | list():
                self._tell(len(value))
                for one in value:
                    self._add(one)
            case set() | frozenset():
                for one in sorted(value, key=repr):
                    self._add(one)
            case Enum():
                self._tell(type(value).__qualname__, value.name)
            case PurePath():
                self._tell(value)
            case np.ndarray() | np.generic() | jax.Array():
                self._add_array(value)
            case _:
                return False
        return True

    def _add_array(self, value: Any) -> None:
        if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            value = jax.random.key_data(value)
        array = np.asarray(value)
        self._tell(array.dtype.str, array.shape)
        if array.dtype.hasobject:
            self._add(array.tolist())
        else:
            self._hash.update(np.ascontiguousarray(array).tobytes())

    def _add_code(self, value: Any) -> bool:
        """Functions, classes and modules: by their file where there is one, else by their code."""
        match value:
            case ModuleType():
                self._add_module(value.__name__)
            case CodeType():
                self._tell(value.co_code.hex(), *value.co_names, *value.co_varnames)
                for one in value.co_consts:
                    self._add(one)
            case FunctionType():
                self._add_function(value)
            case MethodType():
                self._add(value.__func__)
                self._add(value.__self__)
            case staticmethod() | classmethod():
                self._add(value.__func__)
            case property():
                self._add((value.fget, value.fset))
            case functools.partial():
                self._add((value.func, value.args, value.keywords))
            case type():
                self._add_class(value)
            case _:
                return False
        return True

    def _add_function(self, function: FunctionType) -> None:
        self._add(function.__code__)
        if function.__code__.co_filename == _GENERATED and function.__name__.startswith("__"):
            return
        cells = [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
        self._add((function.__defaults__, function.__kwdefaults__, cells))
        if not _is_live(function.__module__):
            self._add_module(function.__module__)
            return
        for name in sorted(_names(function.__code__) & set(function.__globals__)):
            self._tell(name)
            self._add(function.__globals__[name])

    def _add_class(self, one: type) -> None:
        self._tell(one.__qualname__)
        if not _is_live(one.__module__):
            self._add_module(one.__module__)
            return
        for base in one.__bases__:
            self._add(base)
        for name, value in sorted(vars(one).items()):
            code = getattr(value, "method", getattr(value, "__wrapped__", value))
            dunder = name.startswith("__") and name.endswith("__")
            is_code = isinstance(code, FunctionType | staticmethod | classmethod | property)
            if name in _LEFT_OUT or (dunder and not is_code):
                continue
            self._tell(name)
            self._add(code)

    def _add_module(self, name: str) -> None:
        self._tell(name, *sorted(sources.of_module(name).items()))

    def _add_object(self, value: Any) -> None:
        """Fields of an object whose class can be read; all else is like nothing but itself."""
        if self._add_network(value):
            return
        fields = _fields(value)
        if fields is None:
            self._tell(uuid.uuid4().hex)
            return
        self._add(type(value))
        for name, one in sorted(fields.items()):
            self._tell(name)
            self._add(one)

    def _add_network(self, value: Any) -> bool:
        """Networks of PyTorch: layers in words, the code of people's own, and numbers."""
        if hasattr(value, "detach") and hasattr(value, "cpu"):
            self._add_array(value.detach().cpu().numpy())
        elif hasattr(value, "state_dict") and hasattr(value, "modules"):
            self._tell(value)
            self._add([type(part) for part in value.modules()])
            self._add(dict(value.state_dict()))
        elif hasattr(value, "get_parameters") and hasattr(value, "policy"):
            self._add((type(value), value.policy))  # An algorithm of Stable-Baselines3.
        else:
            return False
        return True


def _fields(value: Any) -> Mapping[str, Any] | None:
    """Fields of an object, if they are all that there is to it."""
    cls = type(value)
    slots = [name for one in cls.__mro__ for name in getattr(one, "__slots__", ())]
    own = _is_live(cls.__module__) or sources.is_own(cls.__module__)
    if not own or slots or not hasattr(value, "__dict__"):
        return None
    return vars(value)


def _is_live(module: str) -> bool:
    """Whether a module's code stands in no file that could be read: a cell's, a prompt's, a script's."""
    return module == "__main__" or not sources.has_source(module)


def _names(code: CodeType) -> set[str]:
    """Names that code refers to, with those of the functions in it."""
    inner = [one for one in code.co_consts if isinstance(one, CodeType)]
    return set(code.co_names).union(*map(_names, inner))


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True

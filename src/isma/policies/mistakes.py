"""Errors of a stranger's class as mistakes of its author: one line that says what and where."""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from isma.contract import Policy
from isma.errors import IsmaError, PolicyError

_PACKAGE = Path(__file__).resolve().parents[1]
_CARRIED = f"{PolicyError.__name__}: "
"""Behind this stands what is carried out of a compiled program: JAX keeps an error's text alone."""


@contextmanager
def telling(policy: Policy) -> Iterator[None]:
    """Turn what the policy's own code raises into a PolicyError; what anything else does stays as it is."""
    try:
        yield
    except IsmaError:
        raise
    except Exception as error:
        _, carried, text = str(error).rpartition(_CARRIED)
        if carried:
            raise PolicyError(text.splitlines()[0]) from error
        where = _where(policy, error)
        if where is None:
            raise
        told = f"{type(error).__name__}: {first_line(error)}"
        name = f"{type(policy).__module__}:{type(policy).__qualname__}"
        raise PolicyError(f"policy {name} raises {told} ({where})") from error


def first_line(error: Exception) -> str:
    """Message of an error, without the pages that JAX adds to it."""
    return next(iter(str(error).strip().splitlines()), "")


def _where(policy: Policy, error: Exception) -> str | None:
    """The innermost place in the policy's own file; None in the package, whose mistakes are ours."""
    module = sys.modules[type(policy).__module__]
    if not hasattr(module, "__file__"):  # Typed at a prompt.
        return None
    path = Path(str(module.__file__)).resolve()
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).resolve() == path
    ]
    if not frames or path.is_relative_to(_PACKAGE):
        return None
    here = Path.cwd()
    shown = path.relative_to(here) if path.is_relative_to(here) else path
    return f"{shown}, line {frames[-1].lineno}, in {frames[-1].name}"

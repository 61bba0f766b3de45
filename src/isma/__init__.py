"""When, where and how a mobile user's service moves between edge servers."""

# ruff: noqa: E402
from isma import interrupts

interrupts.answer()  # Before anything else is imported: Ctrl-C may come meanwhile.

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isma import delay
    from isma.api import (
        bound,
        check_policy,
        compare,
        compare_shard,
        explain,
        import_trace,
        load_scenario,
        merge,
        parallel_env,
        reproduce,
        train,
    )
    from isma.errors import IsmaError
    from isma.evaluation.report.run import Run
    from isma.policies import registry

__version__ = "0.1.0"
__all__ = [
    "IsmaError",
    "Run",
    "bound",
    "check_policy",
    "compare",
    "compare_shard",
    "delay",
    "explain",
    "import_trace",
    "load_scenario",
    "merge",
    "parallel_env",
    "registry",
    "reproduce",
    "train",
]

_NAMES = {
    "IsmaError": "isma.errors",
    "Run": "isma.evaluation.report.run",
} | dict.fromkeys(
    (
        *("bound", "check_policy", "compare", "explain", "import_trace", "load_scenario"),
        *("compare_shard", "merge", "parallel_env", "reproduce", "train"),
    ),
    "isma.api",
)
"""Where names stand that are imported when they are first asked for."""
_MODULES = {"registry": "isma.policies.registry"} | {
    name: f"isma.{name}"
    for name in (
        *(
            "agents",
            "api",
            "bounds",
            "contract",
            "delay",
            "environments",
            "errors",
            "evaluation",
            "model",
        ),
        *("planning", "policies", "simulator", "training", "units", "world"),
    )
}
"""Modules that are imported when they are first named (PEP 562)."""


def __getattr__(name: str) -> Any:  # What it is depends on the name.
    if name in _MODULES:
        return import_module(_MODULES[name])
    if name in _NAMES:
        return getattr(import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'isma' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})


# Gymnasium 1 asks no entry points: it knows an id once its package has been imported. Commands ask for none.
if not interrupts.is_program():
    from isma.environments.registration import register

    register()

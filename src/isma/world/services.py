"""Classes of services that the package knows by name, each number with its source."""

import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Any

from isma.errors import ScenarioError, unknown

USE = "use"
"""In a scenario's `[[services]]`, the name of a class of the package."""


def class_names() -> list[str]:
    """Names of the classes in the package."""
    folder = resources.files("isma.world") / "service_classes"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir())


def completed(tree: Mapping[str, Any], label: str) -> dict[str, Any]:
    """A scenario's tables with every `use = NAME` replaced by that class's fields.

    Other fields of its table override the class's. Raises ScenarioError.
    """
    listed = tree.get("services")
    if not isinstance(listed, list | tuple):
        return dict(tree)
    return {**tree, "services": [_completed(entry, label) for entry in listed]}


def _completed(entry: Any, label: str) -> Any:
    if not isinstance(entry, Mapping) or USE not in entry:
        return entry
    name = str(entry[USE])
    if name not in class_names():
        raise ScenarioError(f"{label}: {unknown('class of services', name, class_names())}")
    path = resources.files("isma.world") / "service_classes" / f"{name}.toml"
    own = {field: value for field, value in entry.items() if field != USE}
    return {"name": name, **tomllib.loads(path.read_text()), **own}

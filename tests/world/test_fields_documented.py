"""docs/scenarios.md names every field of a scenario, and no other, under the heading of its section."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from isma.world.motion import Road, Steady, Trace
from isma.world.scenario import Scenario, ServiceClass

PAGE = (Path(__file__).parents[2] / "docs" / "scenarios.md").read_text()
SECTIONS: dict[str, tuple[type[BaseModel], ...]] = {
    **{
        f"[{name}]": (info.annotation,)
        for name, info in Scenario.model_fields.items()
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel)
    },
    "[mobility]": (Steady, Road, Trace),
    "[[services]]": (ServiceClass,),
}
BESIDE = {"kind", "use"}
"""The kind of motion is said in words; `use` stands for a class of services."""


def rows(heading: str) -> set[str]:
    """The names in the first column of a section's tables."""
    beginning = re.compile(rf"^### {re.escape(heading)}(?:: .+)?$", re.MULTILINE)
    text = beginning.split(PAGE, maxsplit=1)[1].split("\n##", 1)[0]
    if heading == "`[[services]]`":
        text = text.split("The classes of the package", 1)[0]
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {name for cell in cells for name in re.findall(r"`([a-z0-9_]+)`", cell)}


@pytest.mark.parametrize("section", SECTIONS)
def test_every_field_of_a_section(section: str) -> None:
    fields = {name for model in SECTIONS[section] for name in model.model_fields}
    assert rows(f"`{section}`") | BESIDE == fields | BESIDE


def test_every_field_at_the_top() -> None:
    inside = {name.strip("[]") for name in SECTIONS}
    assert rows("Top level") == set(Scenario.model_fields) - inside

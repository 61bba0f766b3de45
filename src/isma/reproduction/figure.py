"""A figure of the paper as data: varied fields, fixed fields, and the paper's claims."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from isma.reproduction.claims import Claim
from isma.world import files
from isma.world.scenario import Scenario


@dataclass(frozen=True)
class PaperFigure:
    """One of the paper's Figures 3 to 6."""

    name: str
    """As it is typed: fig3."""
    title: str
    field: str
    """Dotted name of the field along its x axis."""
    values: tuple[str, ...]
    """The x values, as they are typed."""
    label: str
    """The x axis in words, with its unit."""
    fixed: Mapping[str, Any]
    """Fields that differ from the base scenario."""
    claims: tuple[Claim, ...]
    base: str = "paper"
    """The scenario that is varied: a preset or a TOML file."""

    def scenario(self, reduced: Mapping[str, Any]) -> Scenario:
        """The base scenario with the figure's fixed fields and the scale's reductions."""
        return files.load(self.base, {**self.fixed, **reduced})

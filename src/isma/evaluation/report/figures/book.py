"""Which figures a run gets, in the order in which a reader wants them."""

from collections.abc import Callable
from pathlib import Path

from isma.evaluation.comparison.tables import Run
from isma.evaluation.report.figures import (
    city,
    delay,
    distribution,
    load,
    phase,
    servers,
    style,
    timeline,
    vary,
)
from isma.evaluation.report.figures.drawing import Drawing, Figure, save

_PAGES: tuple[Callable[[Run], Drawing | None], ...] = (
    servers.draw,
    vary.draw,
    phase.draw,
    delay.draw,
    distribution.draw,
    timeline.draw,
    load.draw,
    city.draw,
)


def draw_all(run: Run, folder: Path) -> list[Figure]:
    """Draw every figure that the run has the tables for and save it under `folder/figures`."""
    with style.theme():
        drawings = [page(run) for page in _PAGES]
        return [save(drawing, folder / "figures") for drawing in drawings if drawing is not None]

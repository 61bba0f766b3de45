"""Which figures a run gets, in the order in which a reader wants them."""

import json
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
from isma.storage import write_atomically

_WORDS = "figures/words.json"
"""File of a run's folder with title and caption of each figure."""
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
        made = [save(drawing, folder / "figures") for drawing in drawings if drawing is not None]
    words = [{"name": one.name, "title": one.title, "caption": one.caption} for one in made]
    write_atomically(folder / _WORDS, (json.dumps(words, indent=2) + "\n").encode())
    return made


def drawn(folder: Path) -> list[Figure] | None:
    """Figures that a folder has, with their words; None where any is missing."""
    try:
        words = json.loads((folder / _WORDS).read_text(encoding="utf-8"))
        figures = [
            Figure(
                **{name: str(one[name]) for name in ("name", "title", "caption")},
                svg_path=folder / "figures" / f"{Path(one['name']).name}.svg",
                png_path=folder / "figures" / f"{Path(one['name']).name}.png",
            )
            for one in words
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (
        figures
        if all(one.png_path.is_file() and one.svg_path.is_file() for one in figures)
        else None
    )

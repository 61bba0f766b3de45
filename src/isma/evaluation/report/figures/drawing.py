"""A figure as SVG and PNG files that are the same bytes every time."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib.figure

from isma.storage import write_atomically

WIDTH_IN = 10.0
"""Width of every figure: at the report's width, a point of type is a point on the page."""
_PNG_DPI = 160
_NOTEBOOK_PX = 800


@dataclass(frozen=True)
class Figure:
    """A figure as files, with the words that go with it."""

    name: str
    title: str
    caption: str
    svg_path: Path
    png_path: Path

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """The picture for a notebook, at a width that fits its page."""
        return self.png_path.read_bytes(), {"width": _NOTEBOOK_PX}


@dataclass(frozen=True, eq=False)
class Drawing:
    """A figure before it is saved."""

    name: str
    title: str
    caption: str
    canvas: matplotlib.figure.Figure


def blank(height_in: float) -> matplotlib.figure.Figure:
    """An empty figure at the report's width, free of pyplot."""
    return matplotlib.figure.Figure(figsize=(WIDTH_IN, height_in), layout="constrained")


def save(drawing: Drawing, folder: Path) -> Figure:
    """Write a drawing as SVG and PNG into `folder`; RunError where it cannot be written."""
    layout = drawing.canvas.get_layout_engine()
    assert layout is not None  # `blank` sets one.
    for _ in range(2):  # axes of equal scale settle in the second round
        layout.execute(drawing.canvas)
    drawing.canvas.set_layout_engine(None)  # With "none", each file would be drawn twice.
    svg, png = folder / f"{drawing.name}.svg", folder / f"{drawing.name}.png"
    write_atomically(
        svg, _rendered(drawing, format="svg", metadata={"Date": None, "Creator": "isma"})
    )
    write_atomically(
        png, _rendered(drawing, format="png", dpi=_PNG_DPI, metadata={"Software": "isma"})
    )
    return Figure(drawing.name, drawing.title, drawing.caption, svg, png)


def _rendered(drawing: Drawing, **options: Any) -> bytes:
    data = BytesIO()
    drawing.canvas.savefig(data, **options)
    return data.getvalue()

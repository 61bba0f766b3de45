"""The figures of a run, drawn from its tables alone."""

from isma.evaluation.report.figures.book import draw_all, drawn
from isma.evaluation.report.figures.drawing import Figure

__all__ = ["Figure", "draw_all", "drawn"]

"""One of the paper's figures run again."""

from dataclasses import dataclass

from isma.evaluation.report.figures import Figure
from isma.reproduction.claims import Delays, Finding
from isma.reproduction.figure import PaperFigure
from isma.reproduction.scale import Scale


@dataclass(frozen=True)
class Result:
    """Measurements, verdicts on the paper's claims, and the picture."""

    figure: PaperFigure
    scale: Scale
    delays: Delays
    findings: tuple[Finding, ...]
    picture: Figure

"""How a figure says at which point of `--vary` it stands."""

from isma.evaluation.comparison.tables import Point, Run
from isma.evaluation.report import formatting


def at_point(run: Run, point: Point) -> str:
    """` at mobility.speed = 20 km/h`, or nothing for an ordinary run."""
    parts = []
    for field, value in zip(run.vary, point, strict=True):
        stem = formatting.stem(field) if not isinstance(value, str) else field
        parts.append(f"{stem} = {formatting.setting(field, value)}")
    return f" at {', '.join(parts)}" if parts else ""

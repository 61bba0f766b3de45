"""The page docs/leaderboard.md, generated from the tables alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from isma.evaluation.report import formatting
from leaderboard.records import Entry, Track
from leaderboard.rerun import RATE_TOLERANCE, TOLERANCE
from leaderboard.standings import Standing, standings

FILE = Path(__file__).parents[1] / "docs" / "leaderboard.md"
_TEMPLATE = "page.md.jinja"
_NONE = "–"


def page(tracks: Mapping[str, Track], entries: Sequence[Entry]) -> str:
    """Markdown of the page: a table for each track, and the entries."""
    folder = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=folder, undefined=StrictUndefined, trim_blocks=True)
    return environment.get_template(_TEMPLATE).render(
        tracks=[_table(track, standings(track, entries)) for track in tracks.values()],
        entries=[
            {"name": entry.name, "about": entry.about, "link": _link(entry)} for entry in entries
        ],
        tolerance=formatting.percent(TOLERANCE),
        rate_tolerance=formatting.percent(RATE_TOLERANCE),
    )


def _table(track: Track, rows: Sequence[Standing]) -> dict[str, object]:
    unit, scale = formatting.time_unit([row.mean_s for row in rows])
    time = track.scenario.time
    return {
        "name": track.name,
        "description": track.scenario.description,
        "worlds": len(track.seeds),
        "duration_s": formatting.plain(time.duration_s),
        "warmup_s": formatting.plain(time.warmup_s),
        "bound": formatting.duration(float(track.bound_s.mean())),
        "unit": unit,
        "rows": [_cells(row, scale) for row in rows],
    }


def _cells(row: Standing, scale: float) -> list[str]:
    above, closed = row.above_rule, row.gap_closed
    return [
        f"[`{row.entry.name}`](#entries)",
        "learned" if row.entry.about.learned else "rule",
        formatting.number(row.mean_s / scale, 4),
        _NONE if above is None else _with_span(above.ratio, above.low, above.high),
        _NONE if closed is None else _with_span(closed.ratio, closed.low, closed.high),
        formatting.percent(row.above_bound_ratio),
        formatting.number(row.migrations_per_user_hour),
        formatting.percent(row.overload_ratio),
        formatting.number(row.wall_s, 2),
    ]


def _with_span(ratio: float, low: float, high: float) -> str:
    return f"{formatting.percent(ratio, signed=True)} ({formatting.percent_span(low, high)})"


def _link(entry: Entry) -> str:
    """Link from the page, which stands in docs/."""
    link = entry.about.link
    return link.removeprefix("docs/") if link.startswith(("http", "docs/")) else f"../{link}"

"""The report of a run: one page that opens offline, with findings, tables and figures."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape
from pydantic import BaseModel

from isma.evaluation.comparison import tables
from isma.evaluation.comparison.score import BEYOND, COLUMNS, HEADINGS, Gap, Score
from isma.evaluation.comparison.tables import Point, Run
from isma.evaluation.report import figures, findings, formatting
from isma.evaluation.report.figures import style
from isma.evaluation.report.figures.inline import inline
from isma.evaluation.report.sizing import needs
from isma.storage import write_atomically
from isma.world.motion import Road, Steady, Trace
from isma.world.scenario import Scenario

_FROM_FOLDER = "isma compare ."
_COMMAND = "times/command.txt"
"""File of a run's folder with the command that made it."""
_UNIT = re.compile(r"(?<=\d) (?=%|[mµ]?s\b)")


@dataclass(frozen=True)
class Value:
    """A cell of a table: its text, its sort key, and a smaller second line."""

    text: str
    order: float | str
    more: str = ""


@dataclass(frozen=True)
class ReportRow:
    """A policy's row of the summary table."""

    policy: str
    colour: str
    reference: bool
    best: bool
    cells: tuple[Value, ...]


@dataclass(frozen=True)
class ReportSetting:
    """A field of the scenario with the package's default."""

    field: str
    value: str
    default: str
    meaning: str
    changed: bool
    """Whether it differs from the default."""


def write(run_folder: Path, command: str = "") -> Path:
    """Draw a run's figures and write its `report.html`; RunError where that cannot be done.

    The command that made the run is kept in `times/`: the same run may be made by another.
    """
    run = Run.load(run_folder)
    if command:
        write_atomically(run_folder / _COMMAND, f"{command}\n".encode())
    drawn = figures.draw_all(run, run_folder)
    path = run_folder / "report.html"
    replay = tables.REPLAY_PAGE if (run_folder / tables.REPLAY_PAGE).is_file() else None
    write_atomically(path, render(run, drawn, replay).encode())
    return path


def render(run: Run, drawn: list[figures.Figure], replay: str | None = None) -> str:
    """The page as text; the same tables give the same page. It links to a `replay` in its folder."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("isma.evaluation.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    said = findings.findings(run)
    cautions = [text for text in said if text.startswith(findings.CAUTION)]
    settings = settings_of(run)
    return environment.get_template("report.html.j2").render(
        run=run,
        replay=replay,
        cards=_cards(run),
        findings=[_marked(text) for text in said if text not in cautions],
        cautions=[_marked(text.removeprefix(findings.CAUTION)) for text in cautions],
        headers=_headers(run),
        rows=[row for point in run.points for row in _rows(run, point)],
        winners=_winners(run) if run.vary else None,
        figures=[(figure, inline(figure)) for figure in drawn],
        changed=[setting for setting in settings if setting.changed],
        settings=settings,
        glossary={**COLUMNS, **{name: BEYOND[name] for name in _beyond(run)}},
        from_folder=_FROM_FOLDER,
        command=_command(run),
    )


def _command(run: Run) -> str:
    """The command that made a run, as it was typed; empty where it was made from Python."""
    try:
        return (run.folder / _COMMAND).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""


def _marked(text: str) -> Markup:
    """A sentence with backticks as code, all else escaped, and no break between numbers and units."""
    parts = [
        Markup("<code>{}</code>").format(part) if index % 2 else escape(_UNIT.sub("\u00a0", part))
        for index, part in enumerate(text.split("`"))
    ]
    return Markup("").join(parts)


def _cards(run: Run) -> list[tuple[str, str, str]]:
    """The run in a few numbers: label, value and note of each."""
    first = run.standing(run.points[0])[0]
    worlds = formatting.plain(first.seeds)
    size = ("Seeds", worlds, f"intervals over {first.unit}s")
    ranked = run.ranked(run.points[0])
    if run.vary:
        points = ("Points", f"{len(run.points)}", " × ".join(run.vary))
        return [*_needed(run), points, ("Policies", f"{len(run.policies)}", ""), size]
    if not ranked:
        return [size]
    best = ranked[0]
    cards = [("Fastest", best.policy, f"{formatting.duration(best.mean_s)} on average")]
    if len(ranked) > 1:
        lead = formatting.percent(ranked[1].above_best_ratio)
        cards.append(("Ahead by", lead, f"of {ranked[1].policy}"))
    if math.isfinite(best.above_bound_ratio):
        bound = f"of {formatting.duration(best.bound_s)}"
        cards.append(("Above the bound", formatting.percent(best.above_bound_ratio), bound))
    return [*cards, size]


def _needed(run: Run) -> list[tuple[str, str, str]]:
    """How many servers are enough, where that was asked for all points alike."""
    enough = needs(run).get(None)
    if not enough:
        return []
    best, limit = enough[0], formatting.setting("limit_s", enough[0].limit_s)
    if best.fewest is None:
        return [("Servers needed", "more", f"than {max(best.p95_s)}, for a p95 of {limit}")]
    return [("Servers needed", f"{best.fewest}", f"with {best.policy}, for a p95 of {limit}")]


def _headers(run: Run) -> list[tuple[str, str, str]]:
    """Heading, unit and column of the summary table, varied fields first."""
    unit, _ = _time_unit(run)
    return [
        *[(formatting.stem(field), "", field) for field in run.vary],
        ("Mean", unit, "mean_s"),
        ("To best", "paired", "above_best_ratio"),
        ("To bound", "", "above_bound_ratio"),
        ("Median", unit, "p50_s"),
        ("95 %", unit, "p95_s"),
        ("99 %", unit, "p99_s"),
        ("Late", "of tasks", "deadline_miss_ratio"),
        ("Moves", "per user, hour", "migrations_per_user_hour"),
        ("Overload", "of server-ticks", "overload_ratio"),
        ("Signalling", "KB/s", "signalling_bytes_per_s"),
        ("Decision", "ms, p50 / p99", "decision_ms_p99"),
        *[(*HEADINGS[name], name) for name in _beyond(run)],
    ]


def _beyond(run: Run) -> list[str]:
    """Columns of features that are switched on."""
    return [name for name in BEYOND if name in run.summary.columns]


def _rows(run: Run, point: Point) -> list[ReportRow]:
    styles = style.of_policies(run)
    best = next((row.policy for row in run.ranked(point)), None)
    _, scale = _time_unit(run)
    fields = zip(run.vary, point, strict=True)
    at = tuple(Value(formatting.setting(field, value), value) for field, value in fields)
    return [
        ReportRow(
            policy=row.policy,
            colour=styles[row.policy].colour,
            reference=row.reference,
            best=row.policy == best,
            cells=(
                *at,
                *_cells(row, scale, row.policy == best),
                *(_plain(getattr(row, name)) for name in _beyond(run)),
            ),
        )
        for row in run.standing(point)
    ]


def _cells(row: Score, scale: float, best: bool) -> tuple[Value, ...]:
    def time(seconds: float, more: str = "") -> Value:
        return Value(formatting.number(seconds / scale), _order(seconds), more)

    def share(ratio: float) -> Value:
        return Value(formatting.percent(ratio), _order(ratio))

    low, high = row.mean_s_low / scale, row.mean_s_high / scale
    wide = f"{formatting.number(low)} to {formatting.number(high)}" if math.isfinite(low) else ""
    fast, slow = (formatting.number(ms, 2) for ms in (row.decision_ms_p50, row.decision_ms_p99))
    return (
        time(row.mean_s, wide),
        _above(row.above_best, best),
        share(row.above_bound_ratio),
        time(row.p50_s),
        time(row.p95_s),
        time(row.p99_s),
        share(row.deadline_miss_ratio),
        _plain(row.migrations_per_user_hour),
        share(row.overload_ratio),
        _plain(row.signalling_bytes_per_s / 1000),
        Value(f"{fast} / {slow}", _order(row.decision_ms_p99)),
    )


def _above(gap: Gap, best: bool) -> Value:
    if best:
        return Value("best", 0.0)
    more = formatting.percent_span(gap.low, gap.high) if math.isfinite(gap.low) else ""
    if gap.low <= 0 <= gap.high:
        more += ", chance"
    return Value(formatting.percent(gap.ratio, signed=True), _order(gap.ratio), more)


def _plain(value: float) -> Value:
    return Value(formatting.number(value, 2 if abs(value) < 10 else 3), _order(value))


def _order(value: float) -> float:
    """Sorting key of a cell: unknown values last."""
    return float(value) if math.isfinite(value) else math.inf


def _winners(run: Run) -> list[tuple[list[str], list[str]]]:
    """For each point its fields' values, then winner, mean, runner-up, lead and its significance."""
    rows: list[tuple[list[str], list[str]]] = []
    for point in run.points:
        ranked = run.ranked(point)
        if not ranked:
            continue
        at = [formatting.setting(f, v) for f, v in zip(run.vary, point, strict=True)]
        best = ranked[0]
        words = [best.policy, formatting.duration(best.mean_s), "–", "–", "–"]
        if len(ranked) > 1:
            gap = ranked[1].above_best
            sure = "more than chance" if gap.certain else "chance"
            words[2:] = [ranked[1].policy, formatting.percent(gap.ratio), sure]
            if math.isnan(gap.low):
                words[-1] = "unknown"
        rows.append((at, [*words, formatting.percent(best.above_bound_ratio)]))
    return rows


def _time_unit(run: Run) -> tuple[str, float]:
    """The unit of all times in the table."""
    return formatting.time_unit(tables.numbers(run.summary, "mean_s").tolist())


def settings_of(run: Run) -> list[ReportSetting]:
    """Every field of the run's scenario with the package's default."""
    given = _flat({key: value for key, value in run.config.items() if key != "run"})
    kind = {"trace": Trace, "road": Road}.get(str(given.get("mobility.kind")), Steady)
    meanings = _meanings(Scenario, "", kind)
    defaults = _flat(Scenario.model_construct().model_dump(mode="json"))
    settings = []
    for field in [*meanings, *(name for name in given if name not in meanings)]:
        if field in ("name", "description"):
            continue
        default = defaults.get(field)
        value = given.get(field, default)
        varied = field in run.vary
        shown = formatting.setting(field, value)
        if varied:
            shown = ", ".join(formatting.setting(field, level) for level in run.levels(field))
        settings.append(
            ReportSetting(
                field=field,
                value=shown,
                default=formatting.setting(field, default),
                meaning=" ".join(meanings.get(field, "").split()),
                changed=varied or not _same(value, default),
            )
        )
    return settings


def _meanings(model: type[BaseModel], prefix: str, mobility: type[BaseModel]) -> dict[str, str]:
    """The docstring of every field, by dotted name."""
    found: dict[str, str] = {}
    for name, info in model.model_fields.items():
        part = mobility if name == "mobility" else info.annotation
        if isinstance(part, type) and issubclass(part, BaseModel):
            found |= _meanings(part, f"{prefix}{name}.", mobility)
        else:
            found[prefix + name] = info.description or ""
    return found


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        inner = isinstance(value, Mapping)
        flat |= _flat(value, f"{prefix}{key}.") if inner else {prefix + key: value}
    return flat


def _same(value: Any, default: Any) -> bool:
    if isinstance(value, list) and isinstance(default, list):
        return len(value) == len(default) and all(map(_same, value, default))
    if isinstance(value, int | float) and isinstance(default, int | float):
        return math.isclose(value, default, rel_tol=1e-9)
    return value == default

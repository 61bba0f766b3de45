"""A finished run in Python: tables, figures by name, notebook display and exports."""

import base64
import math
from collections.abc import Mapping
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from isma.errors import RunError
from isma.evaluation.comparison import tables
from isma.evaluation.comparison.score import Score
from isma.evaluation.comparison.tables import Point
from isma.evaluation.report import formatting
from isma.evaluation.report.findings import findings

if TYPE_CHECKING:
    from isma.evaluation.report.figures import Figure

_MEASURES: Mapping[str, str] = {
    "mean_s": "s",
    "task_mean_s": "s",
    "migrations_per_user_hour": "1/h",
    "overload_ratio": "1",
    "deadline_miss_ratio": "1",
    "bound_s": "s",
}
"""Columns of `seeds.csv`, and their units."""
_SHOWN = 2
"""Figures that a notebook shows by itself: each is some 100 KB in its file."""
_CSS = "text-align:right;padding:2px 12px"


class Run(tables.Run):
    """Results of a comparison: tables as data frames, figures by name, findings in sentences.

    At the end of a notebook's cell it shows itself.
    """

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read a folder that `isma compare` wrote; RunError says in one line what is wrong."""
        return super().load(Path(folder))

    def __repr__(self) -> str:
        """Name and size; the tables are its fields."""
        seeds = len(self.config["run"].get("seeds", []))
        return f"Run({str(self.folder)!r}: {self.name}, policies {self.policies}, {seeds} seeds)"

    @property
    def findings(self) -> list[str]:
        """Findings in sentences, the most important first; cautions last."""
        return findings(self)

    @cached_property
    def figures(self) -> "Mapping[str, Figure]":
        """Figures by name, in the report's order; drawn if the folder has none. Raises RunError."""
        from isma.evaluation.report import figures

        known = figures.drawn(self.folder)
        made = figures.draw_all(self, self.folder) if known is None else known
        return {figure.name: figure for figure in made}

    @property
    def report(self) -> Path:
        """The page that opens offline."""
        return self.folder / "report.html"

    def to_xarray(self) -> Any:
        """Results by policy, seed and varied field as an `xarray.Dataset`. Raises RunError."""
        try:
            import xarray  # noqa: F401  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise RunError("to_xarray needs xarray: pip install xarray") from None
        by = [*self.vary, "policy", "seed"]
        result: Any = self.seeds.set_index(by)[list(_MEASURES)].to_xarray()
        for name, unit in _MEASURES.items():
            result[name].attrs["units"] = unit
        return result.reindex(policy=self.policies).assign_attrs(scenario=self.name)

    def to_rliable(self) -> dict[str, np.ndarray]:
        """Scores by policy, worlds in rows and points in columns, as rliable takes them.

        A score is the bound divided by the mean: 1 is the bound, and no policy is above it.
        """
        columns: dict[str, list[np.ndarray]] = {name: [] for name in self.policies}
        for point in self.points:
            rows = self.at(self.seeds, point).sort_values("seed")
            for name, result in columns.items():
                own = tables.of_policy(rows, name)
                result.append(tables.numbers(own, "bound_s") / tables.numbers(own, "mean_s"))
        return {name: np.stack(result, axis=1) for name, result in columns.items()}

    def _repr_html_(self) -> str:
        said = "".join(f"<li>{_code(escape(sentence))}</li>" for sentence in self.findings)
        points = "".join(self._table(point) for point in self.points)
        shown = list(self.figures.values())[:_SHOWN]
        others = ", ".join(f"<code>{name}</code>" for name in list(self.figures)[_SHOWN:])
        return (
            f"<h3>{escape(self.name)}</h3><ul>{said}</ul>{points}"
            + "".join(map(_picture, shown))
            + (f"<p>More in <code>run.figures</code>: {others}.</p>" if others else "")
            + f"<p>Report: <code>{escape(str(self.report))}</code></p>"
        )

    def _table(self, point: Point) -> str:
        unit, scale = formatting.time_unit(tables.numbers(self.summary, "mean_s").tolist())
        at = ", ".join(
            f"{formatting.stem(field)} = {formatting.setting(field, value)}"
            for field, value in zip(self.vary, point, strict=True)
        )
        heads = (
            *("policy", f"mean ({unit})", "above best", "95 % interval, paired", "above bound"),
            *(f"p95 ({unit})", "migrations per user, hour"),
        )
        head = "".join(f'<th style="{_CSS}">{word}</th>' for word in heads)
        body = "".join(
            "<tr>"
            + "".join(f'<td style="{_CSS}">{cell}</td>' for cell in _cells(row, scale))
            + "</tr>"
            for row in self.standing(point)
        )
        caption = f"<caption>{escape(at)}</caption>" if at else ""
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cells(row: Score, scale: float) -> list[str]:
    gap, name = row.above_best, escape(row.policy)
    best = gap.ratio == 0 or math.isnan(gap.low)
    return [
        f"<i>{name}</i> (reference)" if row.reference else name,
        formatting.number(row.mean_s / scale, 4),
        formatting.percent(gap.ratio, signed=True),
        "–" if best else formatting.percent_span(gap.low, gap.high),
        formatting.percent(row.above_bound_ratio, signed=True),
        formatting.number(row.p95_s / scale, 4),
        f"{row.migrations_per_user_hour:.1f}",
    ]


def _picture(figure: "Figure") -> str:
    data = base64.b64encode(figure.png_path.read_bytes()).decode()
    title, caption = escape(figure.title), _code(escape(figure.caption))
    return (
        f'<figure><img alt="{title}" style="max-width:100%;width:800px" '
        f'src="data:image/png;base64,{data}"><figcaption>{caption}</figcaption></figure>'
    )


def _code(text: str) -> str:
    """A sentence whose parts between backticks are code."""
    return "".join(
        f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(text.split("`"))
    )

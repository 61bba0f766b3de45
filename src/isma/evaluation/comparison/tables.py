"""The tables of a run's folder (docs/run-folder.md), read and checked once for all readers."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from isma.errors import RunError, short
from isma.evaluation.comparison.score import BEYOND, COLUMNS, TIMES, Gap, Score
from isma.evaluation.comparison.wall_times import DECISIONS
from isma.evaluation.statistics import paired_ratio

_TEXT = {"policy", "unit"}
_FLAGS = {"reference"}
_POINTLESS = {"snapshot", "trail", "sites", "links"}
_FILES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "summary": ("summary.csv", tuple(name for name in COLUMNS if name not in TIMES)),
    "times": (DECISIONS, ("policy", *TIMES)),
    "seeds": (
        "seeds.csv",
        (
            "policy",
            "seed",
            "mean_s",
            "task_mean_s",
            "migrations_per_user_hour",
            "overload_ratio",
            "deadline_miss_ratio",
            "bound_s",
        ),
    ),
    "users": ("users.parquet", ("policy", "seed", "user", "mean_s", "tasks")),
    "distribution": ("distribution.parquet", ("policy", "low_s", "high_s", "tasks")),
    "timeline": (
        "timeline.parquet",
        ("policy", "seed", "time_s", "mean_s", "migrations", "handovers", "overload_ratio"),
    ),
    "load": ("load.parquet", ("policy", "server", "users", "requested_share", "granted_share")),
    "snapshot": (
        "snapshot.parquet",
        (
            "policy",
            "user",
            "x_m",
            "y_m",
            "station",
            "host",
            "offload_ratio",
            "granted_share",
        ),
    ),
    "trail": ("trail.parquet", ("time_s", "user", "x_m", "y_m")),
    "sites": ("sites.csv", ("server", "x_m", "y_m")),
    "links": ("links.csv", ("a", "b")),
}

REPLAY_PAGE = "replay.html"
"""Page of a run's folder that plays it."""

Point = tuple[float | str, ...]
"""Values of the varied fields, in the order of `Run.vary`; empty for an ordinary run."""


@dataclass(frozen=True)
class InlinePage:
    """Page that a notebook shows in a frame of its own."""

    html: str
    height_px: int

    def _repr_html_(self) -> str:
        return (
            f'<iframe srcdoc="{escape(self.html)}" title="replay" style="width:100%;border:0;'
            f'height:{self.height_px}px"></iframe>'
        )


@dataclass(frozen=True, eq=False)
class Run:
    """A run's folder as tables, the source of figures, findings and the report."""

    folder: Path
    config: Mapping[str, Any]
    """`config.toml`: the scenario's fields, and `run`."""
    vary: tuple[str, ...]
    """Dotted names of the varied fields: none, one or two."""
    summary: pd.DataFrame
    """The table `summary.csv`, with times of decisions from `times/decisions.csv`."""
    seeds: pd.DataFrame
    users: pd.DataFrame
    distribution: pd.DataFrame
    timeline: pd.DataFrame
    load_by_server: pd.DataFrame
    """The table `load.parquet`."""
    snapshot: pd.DataFrame
    trail: pd.DataFrame
    sites: pd.DataFrame
    links: pd.DataFrame

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a folder that `isma compare` wrote; RunError says in one line what is wrong."""
        if not folder.is_dir():
            got = "a file" if folder.exists() else "no such folder"
            raise RunError(f"{folder}: must be a run's folder, got {got}")
        config = _config(folder / "config.toml")
        if "shard" in config["run"]:
            shard = short(config["run"]["shard"])
            raise RunError(f"{folder} holds shard {shard} of a run: isma merge puts them together")
        vary = tuple(_flat(config["run"].get("vary", {})))
        if len(vary) > 2:
            raise RunError(
                f"{folder / 'config.toml'}: run.vary must name at most 2 fields, got {len(vary)}"
            )
        frames = {
            name: _table(folder / file, (*(() if name in _POINTLESS else vary), *columns))
            for name, (file, columns) in _FILES.items()
        }
        _check_summary(frames["summary"], folder / "summary.csv")
        _settle_vary(frames, vary)
        times = frames.pop("times")[[*vary, "policy", *TIMES]]
        frames["summary"] = frames["summary"].merge(times, how="left", on=[*vary, "policy"])
        frames["load_by_server"] = frames.pop("load")
        return cls(folder=folder, config=config, vary=vary, **frames)

    def watch(self, height_px: int = 720) -> "InlinePage":
        """The first world as a map that plays: a notebook shows it inline. Raises RunError."""
        path = self.folder / REPLAY_PAGE
        try:
            return InlinePage(path.read_text(), height_px)
        except OSError as error:
            raise RunError(
                f"{path}: cannot be read: {error.strerror}; isma watch {self.folder} --export {path} "
                "writes it"
            ) from None

    @property
    def points(self) -> list[Point]:
        """Every point of `vary`: numbers in rising order, other values as they come."""
        if not self.vary:
            return [()]
        levels = [self.levels(field) for field in self.vary]
        present = set(self.summary[list(self.vary)].itertuples(index=False, name=None))
        return sorted(
            present,
            key=lambda point: [at.index(value) for at, value in zip(levels, point, strict=True)],
        )

    @property
    def policies(self) -> list[str]:
        """All policies in the order of the summary, references too."""
        return list(dict.fromkeys(self.summary["policy"]))

    @property
    def references(self) -> set[str]:
        """Policies that cannot be run in practice: references."""
        return {row["policy"] for row in records(self.summary) if row["reference"]}

    @property
    def name(self) -> str:
        """How the scenario calls itself."""
        return str(self.config.get("name", self.folder.name))

    def levels(self, field: str) -> list[float | str]:
        """The values that a varied field takes."""
        values = list(dict.fromkeys(self.summary[field]))
        return sorted(values) if self.numeric(field) else values

    def numeric(self, field: str) -> bool:
        """Whether a varied field's values are numbers."""
        return pd.api.types.is_numeric_dtype(self.summary[field])

    def at(self, frame: pd.DataFrame, point: Point) -> pd.DataFrame:
        """The rows of a table that belong to one point."""
        keep = np.ones(len(frame), dtype=bool)
        for field, value in zip(self.vary, point, strict=True):
            keep &= np.asarray(frame[field]) == value
        return frame.take(np.flatnonzero(keep))

    def standing(self, point: Point) -> list[Score]:
        """Results of every policy at one point, fastest first, references among them."""
        rows = [Score.of(row) for row in records(self.at(self.summary, point))]
        return sorted(rows, key=lambda row: row.mean_s)

    def ranked(self, point: Point) -> list[Score]:
        """Results of the policies that are not references, best first."""
        return [row for row in self.standing(point) if not row.reference]

    def gap(self, point: Point, policy: str, base: str) -> Gap:
        """Excess of `policy` over `base`, paired over the units of the intervals."""
        by_user = all(row.unit == "user" for row in self.standing(point))
        table = self.at(self.users if by_user else self.seeds, point)
        unit = "user" if by_user else "seed"
        means = [
            dict(zip(*averages(numbers(rows, unit), numbers(rows, "mean_s")), strict=True))
            for rows in (of_policy(table, name) for name in (policy, base))
        ]
        shared = sorted(set(means[0]) & set(means[1]))
        if not shared:
            return Gap(float("nan"), float("nan"), float("nan"))
        return Gap(*paired_ratio(*(np.array([mean[key] for key in shared]) for mean in means)))


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table as plain mappings."""
    rows: Any = frame.to_dict("records")
    return rows


def numbers(frame: pd.DataFrame, column: str) -> np.ndarray:
    """A column of numbers."""
    return np.asarray(frame[column], dtype=float)


def of_policy(frame: pd.DataFrame, policy: str) -> pd.DataFrame:
    """The rows of a table that belong to one policy."""
    return frame.take(np.flatnonzero(np.asarray(frame["policy"]) == policy))


def averages(keys: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean of the finite values of each key, keys rising; NaN where a key has none."""
    finite = np.isfinite(values)
    distinct, index = np.unique(keys, return_inverse=True)
    total = np.bincount(index, np.where(finite, values, 0.0), len(distinct))
    count = np.bincount(index, finite.astype(float), len(distinct))
    return distinct, np.where(count > 0, total / np.maximum(count, 1.0), np.nan)


def _config(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            config = tomllib.load(file)
    except FileNotFoundError:
        raise RunError(f"{path}: missing; a run's folder must hold it") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: damaged: {error}") from None
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from None
    if not isinstance(config.get("run"), dict) or not isinstance(
        config["run"].get("vary", {}), dict
    ):
        raise RunError(f"{path}: must hold a table [run], with vary as a table if it is given")
    return config


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one with dotted names."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        inner = isinstance(value, Mapping)
        flat |= _flat(value, f"{prefix}{key}.") if inner else {prefix + key: value}
    return flat


def _table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """One table with its columns checked and typed."""
    try:
        if path.suffix == ".csv":
            frame = pd.read_csv(path, dtype=str, keep_default_na=False)
        else:
            frame = pd.read_parquet(path)
    except FileNotFoundError:
        raise RunError(f"{path}: missing; a run's folder must hold it") from None
    except OSError as error:
        raise RunError(
            f"{path}: cannot be read: {error.strerror or error}".splitlines()[0]
        ) from None
    except Exception as error:  # pyarrow and pandas raise many kinds for a damaged file
        raise RunError(f"{path}: damaged: {error}".splitlines()[0]) from None
    columns = [*columns, *(name for name in BEYOND if name in frame.columns)]
    absent = [column for column in columns if column not in frame.columns]
    if absent:
        raise RunError(f"{path}: must have a column {absent[0]!r}, got {', '.join(frame.columns)}")
    return frame.assign(**{column: _typed(frame, column, path) for column in columns})


def _typed(frame: pd.DataFrame, name: str, path: Path) -> Any:
    column = frame[name]
    if name in _TEXT:
        return column.astype(str)
    if name in _FLAGS:
        return [str(value).lower() in ("true", "1") for value in column]
    is_known = name in BEYOND or any(name in columns for _, columns in _FILES.values())
    try:
        return pd.to_numeric(column.replace("", np.nan))
    except (ValueError, TypeError):
        if not is_known:
            return column
        raise RunError(f"{path}: {name} must hold numbers, got something else") from None


def _check_summary(summary: pd.DataFrame, path: Path) -> None:
    if summary.empty:
        raise RunError(f"{path}: must hold a row for each policy, got none")
    for row in records(summary):
        if not np.isfinite(row["mean_s"]):
            raise RunError(
                f"{path}: mean_s must be a finite number, got {row['mean_s']} for {row['policy']}"
            )


def _settle_vary(frames: dict[str, pd.DataFrame], vary: Sequence[str]) -> None:
    """Give the columns of varied fields one type in every table: numbers, or else text."""
    for field in vary:
        varied = [frame for name, frame in frames.items() if name not in _POINTLESS]
        if not all(pd.api.types.is_numeric_dtype(frame[field]) for frame in varied):
            for frame in varied:
                frame[field] = [_as_text(value) for value in frame[field]]


def _as_text(value: object) -> str:
    """A value as `summary.csv` has it: a range comes back from parquet as an array."""
    return str(value.tolist() if isinstance(value, np.ndarray) else value)

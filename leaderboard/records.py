"""Records of the leaderboard: tracks, which are worlds, and entries, which are policies with a table each.

    leaderboard/tracks/NAME.toml            scenario and seeds, as `isma compare` takes them
    leaderboard/tracks/NAME.bounds.csv      lower bound of any policy's mean: a row per world
    leaderboard/entries/NAME/entry.toml     policy, authors, licence, budget
    leaderboard/entries/NAME/TRACK.csv      results: a row per world

Files are read and checked; nothing that they name is imported or run.
"""

import io
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from isma.errors import DataError, given, short, some, unknown
from isma.world import files, inputs
from isma.world.scenario import Scenario

ROOT = Path(__file__).parent
TRACKS, ENTRIES = "tracks", "entries"
ABOUT = "entry.toml"
MEASURES = (
    "mean_s",
    "task_mean_s",
    "migrations_per_user_hour",
    "overload_ratio",
    "deadline_miss_ratio",
)
"""Results of a world, as in a run's `seeds.csv` (docs/run-folder.md): functions of policy and world alone."""
WALL = "wall_s"
"""Wall time of the world, by the clock of the machine that made the table."""
BOUND = "bound_s"
BOUND_SLACK = 1e-4
"""Part of a bound by which rounding in single precision may take a mean below it."""
_MOST_BYTES = 1_000_000
Table = Mapping[str, Float[np.ndarray, "worlds"]]
"""Columns by name, in the order of the track's seeds."""
Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\n|<>`]*$")]
"""One line that cannot break a table."""


class About(BaseModel):
    """Description of an entry, `entry.toml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    policy: Text
    """As `--policies` takes it: a name with options, or package.module:Class."""
    summary: Text
    """One line on how it decides."""
    authors: Annotated[tuple[Text, ...], Field(min_length=1)]
    licence: Text
    """Of its code and weights, as an SPDX identifier."""
    link: Annotated[
        str, Field(max_length=300, pattern=r"^(https?://[^\s()<>|]+|\w[\w./-]*(#[\w-]+)?)$")
    ]
    """Where it is described: a web address, or a path from the root of the repository."""
    learned: bool
    """Whether anything in it was trained; what has learned nothing is a rule."""
    budget: Text
    """Training and tuning that it took."""
    made_with: Text
    """Versions and machine with which its tables were made."""


@dataclass(frozen=True)
class Track:
    """Worlds that every entry of a table met."""

    name: str
    scenario: Scenario
    seeds: tuple[int, ...]
    bound_s: Float[np.ndarray, "worlds"]
    """Lower bound of any policy's mean in each of them."""


@dataclass(frozen=True)
class Entry:
    """A policy and its results."""

    name: str
    about: About
    tables: Mapping[str, Table]
    """By track: `MEASURES` and the wall time."""


def read_tracks(root: Path = ROOT) -> dict[str, Track]:
    """All tracks by name. Raises DataError or ScenarioError."""
    found = {}
    for file in sorted((root / TRACKS).glob("*.toml")):
        run = files.run_table(file) or {}
        seeds = tuple(run.get("seeds", ()))
        if not seeds:
            raise DataError(f"{file}: must have the seeds of its worlds in a table [run], got none")
        bounds = _table(file.with_suffix(".bounds.csv"), seeds, [BOUND])
        found[file.stem] = Track(file.stem, files.load(file), seeds, bounds[BOUND])
    if not found:
        raise DataError(f"{root / TRACKS}: must hold a track, got none")
    return found


def read_entries(tracks: Mapping[str, Track], root: Path = ROOT) -> list[Entry]:
    """All entries in the order of their names. Raises DataError."""
    folders = sorted(path.parent for path in (root / ENTRIES).glob(f"*/{ABOUT}"))
    return [read_entry(folder, tracks) for folder in folders]


def read_entry(folder: Path, tracks: Mapping[str, Track]) -> Entry:
    """An entry and its tables, each checked against its track. Raises DataError."""
    about = read_about(folder)
    tables = {}
    for path in sorted(folder.glob("*.csv")):
        if path.stem not in tracks:
            raise DataError(f"{path}: {unknown('track', path.stem, tracks)}")
        tables[path.stem] = _results(path, tracks[path.stem])
    if not tables:
        raise DataError(f"{folder}: must hold a table TRACK.csv, of {some(tracks)}, got none")
    return Entry(folder.name, about, tables)


def read_about(folder: Path) -> About:
    """An entry's description. Raises DataError."""
    path = folder / ABOUT
    try:
        return About.model_validate(tomllib.loads(_text(path)))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"])) or "entry"
        rule = first["msg"].replace("Input should be", "must be")
        raise DataError(f"{path}: {field}: {rule}, got {given(first.get('input'))}") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise DataError(f"{path}: not a TOML file: {error}") from None


def as_csv(table: Table, seeds: Sequence[int]) -> bytes:
    """A table as its file holds it: every number to the last bit."""
    frame = pd.DataFrame({"seed": seeds, **table})
    return frame.to_csv(index=False, lineterminator="\n").encode()


def _results(path: Path, track: Track) -> Table:
    table = _table(path, track.seeds, [*MEASURES, WALL])
    below = table["mean_s"] < (1 - BOUND_SLACK) * track.bound_s
    if below.any():
        world = int(np.argmax(below))
        raise DataError(
            f"{path}: mean_s must be at least the lower bound of any policy ({track.bound_s[world]:g} s "
            f"in world {track.seeds[world]}), got {table['mean_s'][world]:g}"
        )
    for name in ("overload_ratio", "deadline_miss_ratio"):
        if table[name].max() > 1:
            raise DataError(f"{path}: {name} must be at most 1, got {table[name].max():g}")
    return table


def _table(path: Path, seeds: Sequence[int], columns: Sequence[str]) -> Table:
    """A table with a row for each world and finite numbers from 0 on. Raises DataError."""
    try:
        read = pd.read_csv(io.StringIO(_text(path)))
    except ValueError as error:  # pandas' own kinds are among them.
        raise DataError(f"{path}: must be a CSV: {short(error)}") from None
    wanted = ["seed", *columns]
    if list(read.columns) != wanted:
        raise DataError(
            f"{path}: must have the columns {', '.join(wanted)}, got {some(map(str, read.columns), 8)}"
        )
    if list(read["seed"]) != list(seeds):
        raise DataError(
            f"{path}: must have a row for each world of its track ({some(map(str, seeds), 8)}) in that "
            f"order, got {some(map(str, read['seed']), 8)}"
        )
    table = {
        name: np.asarray(pd.to_numeric(read[name], errors="coerce"), float) for name in columns
    }
    for name, values in table.items():
        if not (np.isfinite(values) & (values >= 0)).all():
            raise DataError(
                f"{path}: {name} must hold finite numbers from 0 on, got something else"
            )
    return table


def _text(path: Path) -> str:
    return inputs.decoded(inputs.content(path, "file", most_bytes=_MOST_BYTES), str(path))

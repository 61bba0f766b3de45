"""Replay files: a run's course as compact columns, which a page can play (docs/replay-format.md).

A file is lines of JSON: a header, then blocks of frames, in order of time. A line that is not whole, of
a run that is under way, is left out.
"""

import base64
import json
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Self

import numpy as np
from jaxtyping import Float, Int

from isma.errors import RunError

FORMAT, VERSION = "isma replay", 1
SUFFIX = ".replay"
PER_DECADE, LEAST = 1000, 1e-9
"""Steps of a logarithmic column from 10 to 100, and the value below its first step."""
_LEVEL, _MOST = 6, 2**31 - 1
_LONGEST_LINE = 1 << 28


class ColumnScale(Enum):
    """How a column's whole numbers stand for values."""

    LINEAR = "linear"
    """Times `step`."""
    LOG = "log"
    """0 is 0; n above 0 is `LEAST` · 10^(n / `PER_DECADE`)."""


@dataclass(frozen=True)
class ReplayColumn:
    """A quantity of each user, server or migration, as it is stored."""

    rows: str
    """Kind of its rows: users, servers, migrations."""
    scale: ColumnScale = ColumnScale.LINEAR
    step: float = 1.0

    def whole(self, values: np.ndarray) -> Int[np.ndarray, "..."]:
        """Whole numbers that stand for these values."""
        values = np.nan_to_num(np.asarray(values, float))
        if self.scale is ColumnScale.LINEAR:
            return np.clip(np.rint(values / self.step), -_MOST, _MOST).astype("<i4")
        steps = np.rint(PER_DECADE * np.log10(np.maximum(values, LEAST) / LEAST))
        return np.where(values > 0, np.maximum(steps, 1), 0).astype("<i4")

    def values(self, whole: Int[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """Values that these whole numbers stand for."""
        if self.scale is ColumnScale.LINEAR:
            return whole * self.step
        return np.where(whole > 0, LEAST * 10.0 ** (whole / PER_DECADE), 0.0)

    def header_entry(self) -> dict[str, Any]:
        """Description of the column in the header."""
        return {"rows": self.rows, "scale": self.scale.value, "step": self.step}


POSITION_STEP_M, SHARE_STEP, LOAD_STEP = 0.1, 0.001, 0.0001
COLUMNS: Mapping[str, ReplayColumn] = {
    "x_m": ReplayColumn("users", step=POSITION_STEP_M),
    "y_m": ReplayColumn("users", step=POSITION_STEP_M),
    "state": ReplayColumn("users"),
    "station": ReplayColumn("users"),
    "host": ReplayColumn("users"),
    "offload_ratio": ReplayColumn("users", step=SHARE_STEP),
    "granted_share": ReplayColumn("users", step=SHARE_STEP),
    "tasks": ReplayColumn("users"),
    "delay_s": ReplayColumn("users", ColumnScale.LOG),
    "load": ReplayColumn("servers", step=LOAD_STEP),
    "price_s": ReplayColumn("servers", ColumnScale.LOG),
    "up": ReplayColumn("servers"),
    "tick": ReplayColumn("migrations"),
    "user": ReplayColumn("migrations"),
    "source": ReplayColumn("migrations"),
    "target": ReplayColumn("migrations"),
}
"""Columns of a replay, in the order of a block."""
ABSENT, SERVED, STOPPED = 0, 1, 2
"""Values of `state`: a user that is not there, one that is served, one whose service stands still."""


def packed(rows: Int[np.ndarray, "frames rows"]) -> str:
    """Whole numbers as text: differences of frames, their bytes apart, deflated, in base64."""
    rows = np.asarray(rows, "<i4")
    steps = np.diff(rows, axis=0, prepend=np.zeros((1, rows.shape[1]), "<i4"))
    apart = np.ascontiguousarray(steps.astype("<i4")).view("u1").reshape(-1, 4).T
    return base64.b64encode(zlib.compress(apart.tobytes(), _LEVEL)).decode()


def unpacked(text: str, frames: int) -> Int[np.ndarray, "frames rows"]:
    """Whole numbers of a text that `packed` gave. Raises ValueError."""
    apart = np.frombuffer(_inflated(base64.b64decode(text, validate=True)), "u1")
    steps = np.ascontiguousarray(apart.reshape(4, -1).T).view("<i4").reshape(frames, -1)
    return np.cumsum(steps, axis=0, dtype="<i4")


def _inflated(data: bytes) -> bytes:
    inflate = zlib.decompressobj()
    try:
        found = inflate.decompress(data, _LONGEST_LINE)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if inflate.unconsumed_tail or not inflate.eof:
        raise ValueError("a column is cut short, or too long")
    return found


@dataclass
class ReplayBlock:
    """Some frames in a row."""

    first: int
    """Number of the first frame, from 0; frame k ends at (k + 1) · `frame_s`."""
    frames: int
    columns: dict[str, Int[np.ndarray, "frames rows"]]
    """Whole numbers; of migrations there is one row of frames."""
    sums: dict[str, list[float]]
    """A number for each frame, of all users and servers: time_s, tasks, migrations, handovers, overloaded."""

    def line(self) -> str:
        """Block as a line of the file."""
        columns = {name: packed(self.columns[name]) for name in COLUMNS if name in self.columns}
        return _json(
            {"first": self.first, "frames": self.frames, "sums": self.sums, "columns": columns}
        )

    @classmethod
    def of(cls, tree: Mapping[str, Any]) -> Self:
        """Block of a line. Raises ValueError."""
        frames = int(tree["frames"])
        columns = {
            name: unpacked(text, 1 if COLUMNS[name].rows == "migrations" else frames)
            for name, text in tree["columns"].items()
            if name in COLUMNS
        }
        return cls(int(tree["first"]), frames, columns, dict(tree["sums"]))


@dataclass(frozen=True)
class ReplayFile:
    """Replay file that has been read."""

    header: Mapping[str, Any]
    lines: Sequence[str]
    """Its blocks as they stand in the file."""
    _blocks: list[ReplayBlock] = field(default_factory=list)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file. Raises RunError where it is no replay, or damaged before its last line."""
        try:
            text = path.read_bytes().decode()
        except (OSError, UnicodeDecodeError) as error:
            raise RunError(f"{path}: cannot be read: {error}") from None
        lines = text.split("\n")[:-1]
        try:
            header = json.loads(lines[0]) if lines else None
        except (ValueError, RecursionError):
            header = None
        refuse_header(header, path)
        return cls(header or {}, lines[1:])

    def blocks(self) -> Iterator[ReplayBlock]:
        """Blocks with their numbers. Raises RunError."""
        for number, line in enumerate(self.lines):
            try:
                yield ReplayBlock.of(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                raise RunError(
                    f"block {number + 1} of the replay of {self.header['policy']!r} is damaged: {error}"
                ) from None

    def column(self, name: str) -> Float[np.ndarray, "frames rows"]:
        """Values of a column over the whole run; migrations one after the other, in one row."""
        axis = 1 if COLUMNS[name].rows == "migrations" else 0
        parts = [block.columns[name] for block in self.blocks() if name in block.columns]
        return COLUMNS[name].values(np.concatenate(parts, axis))

    def sums(self, name: str) -> Float[np.ndarray, "frames"]:
        """A number for each frame, of all users and servers."""
        return np.array([value for block in self.blocks() for value in block.sums[name]], float)


def refuse_header(header: Any, path: Path) -> None:
    """Refuse a header of another format or version. Raises RunError."""
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise RunError(f"{path}: must be a replay, whose first line says so, got something else")
    if header.get("version") != VERSION:
        raise RunError(
            f"{path}: must be a replay of version {VERSION}, got {header.get('version')!r}: "
            "write it again with this version of isma"
        )


def header_line(fields: Mapping[str, Any], columns: Sequence[str]) -> str:
    """First line of a file: format, version, the run's description, and its columns."""
    return _json(
        {
            "format": FORMAT,
            "version": VERSION,
            **fields,
            "columns": {name: COLUMNS[name].header_entry() for name in columns},
        }
    )


def _json(tree: Mapping[str, Any]) -> str:
    return json.dumps(tree, separators=(",", ":"), allow_nan=False, default=_plain) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def frame_ticks(num_ticks: int, chunk_ticks: int, users: int) -> int:
    """Ticks of a frame: as few as keep a run within `MOST_FRAMES` frames and `MOST_PLACES` places.

    A divisor of the ticks that are run at once, or a multiple: intervals of tables are whole frames.
    """
    most = max(2, min(MOST_FRAMES, MOST_PLACES // max(users, 1)))
    least = math.ceil(num_ticks / most)
    divisors = [n for n in range(1, chunk_ticks + 1) if chunk_ticks % n == 0]
    within = next((n for n in divisors if n >= least), None)
    return within or math.ceil(least / chunk_ticks) * chunk_ticks


MOST_FRAMES, MOST_PLACES = 720, 2_000_000
"""Frames of a replay, and users times frames."""
MOST_USERS = 10_000
"""Most users that a replay has rows for; of more, a random sample of that size."""

"""Recording of a run as a replay file, while it is run."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from jaxtyping import Float, Int

from isma import replay_format as form
from isma.contract import Policy
from isma.errors import RunError
from isma.evaluation.cell import chunk_ticks
from isma.evaluation.course_sample import drawn_users
from isma.evaluation.plan import CellKey
from isma.simulator.params import Params
from isma.simulator.scene import Scene
from isma.simulator.state import State
from isma.simulator.step import TickOutcome
from isma.storage import digest
from isma.world import backhaul
from isma.world.scenario import Scenario
from isma.world.servers import Network, network

FOLDER = "replay"
_BLOCK_FRAMES = 64
_NAME = 12


def replay_path(out: Path, policy: str, seed: int) -> Path:
    """Where a run's folder keeps the replay of a policy in a world."""
    named = digest(f"{policy} {seed}".encode())[:_NAME]
    return out / FOLDER / f"{named}{form.SUFFIX}"


def recorder(
    out: Path, scenario: Scenario, params: Params, key: CellKey, policy: Policy
) -> "ReplayRecorder":
    """Recorder of a cell whose replay the run's folder keeps."""
    chunk = chunk_ticks(params, scenario.time.num_ticks)
    recorded = RecordedRun(scenario, params, key.policy, key.seed, chunk, policy.publishes_price)
    return ReplayRecorder(replay_path(out, key.policy, key.seed), recorded)


def partial_path(path: Path) -> Path:
    """Path of a replay while its run is under way."""
    return path.with_name(f".{path.name}.partial")


@dataclass(frozen=True)
class RecordedRun:
    """Run that is recorded: which one, and how it is cut into frames."""

    scenario: Scenario
    params: Params
    policy: str
    seed: int
    chunk_ticks: int
    publishes_price: bool

    @property
    def shown(self) -> Int[np.ndarray, "shown"]:
        """Users that have rows: all, or in a large city some."""
        return drawn_users(self.params.shape.num_users, form.MOST_USERS)

    @property
    def frame_ticks(self) -> int:
        """Ticks of a frame."""
        ticks = self.scenario.time.num_ticks
        return min(form.frame_ticks(ticks, self.chunk_ticks, len(self.shown)), ticks)

    def header(self, deadline_s: Float[np.ndarray, "users"]) -> dict[str, Any]:
        """Header of the file."""
        laid, time = network(self.scenario), self.scenario.time
        return {
            "scenario": self.scenario.name,
            "policy": self.policy,
            "seed": self.seed,
            "tick_s": time.tick_s,
            "frame_s": self.frame_ticks * time.tick_s,
            "duration_s": time.duration_s,
            "warmup_s": time.warmup_s,
            "users": self.params.shape.num_users,
            "user_id": self.shown,
            "deadline_s": [float(f"{value:.6g}") for value in deadline_s[self.shown]],
            **_city(self.scenario, laid),
        }


def _city(scenario: Scenario, laid: Network) -> dict[str, Any]:
    layout = laid.layout
    links = backhaul.links(scenario.backhaul, layout, scenario.sites.coverage_radius_m)
    return {
        "station_id": [str(name) for name in layout.ids],
        "station_x_m": np.round(layout.position_m[:, 0], 1),
        "station_y_m": np.round(layout.position_m[:, 1], 1),
        "server_station": laid.home,
        "links": np.asarray(links, int).reshape(-1, 2),
    }


@dataclass
class _Open:
    """Frames that are not yet written."""

    columns: dict[str, list[np.ndarray]] = field(default_factory=dict)
    sums: dict[str, list[float]] = field(default_factory=dict)
    migrations: list[np.ndarray] = field(default_factory=list)

    def add(self, columns: dict[str, np.ndarray], sums: dict[str, float]) -> None:
        for name, values in columns.items():
            self.columns.setdefault(name, []).append(values)
        for name, value in sums.items():
            self.sums.setdefault(name, []).append(value)

    @property
    def frames(self) -> int:
        return len(next(iter(self.sums.values()), []))


class ReplayRecorder:
    """Writes a run's frames to a file that is whole when the recorder is left, or absent."""

    def __init__(self, path: Path, recorded: RecordedRun) -> None:
        self._path, self._recorded = path, recorded
        self._shown, self._every = recorded.shown, recorded.frame_ticks
        self._open, self._written = _Open(), 0
        self._host: np.ndarray | None = None
        users = recorded.params.shape.num_users
        self._time_s, self._tasks = np.zeros(users), np.zeros(users, int)
        self._counts = np.zeros(3, int)
        self._delay_s = np.zeros(len(self._shown))

    def __enter__(self) -> Self:
        """Begin the file."""
        self._try(lambda: self._path.parent.mkdir(parents=True, exist_ok=True))
        self._try(lambda: partial_path(self._path).unlink(missing_ok=True))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put the file in place, or remove it where the run was not finished."""
        partial = partial_path(self._path)
        if kind is not None:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            return
        self._flush()
        self._try(lambda: partial.replace(self._path))

    def begin(self, state: State) -> None:
        """Write the header, with the world before its first tick."""
        self._host = np.asarray(state.placement.host)
        names = [name for name in form.COLUMNS if self._has(name)]
        deadline_s = np.asarray(state.requests.deadline_s, float)
        self._append(form.header_line(self._recorded.header(deadline_s), names))

    def add(self, first: int, outcome: TickOutcome) -> None:
        """Add the ticks from `first` on."""
        ticks, last = len(outcome.completion_time_s), self._recorded.scenario.time.num_ticks
        self._note_migrations(first, outcome.scene)
        after = np.arange(1, ticks + 1)
        ends = after[((first + after) % self._every == 0) | (first + after == last)]
        columns, begins = self._columns(outcome.scene, ends - 1), 0
        for frame, end in enumerate(ends):
            self._gather(outcome, slice(begins, end))
            self._frame({name: rows[frame] for name, rows in columns.items()})
            begins = end
        self._gather(outcome, slice(begins, ticks))

    def _has(self, name: str) -> bool:
        if name == "price_s":
            return self._recorded.publishes_price
        return name != "up" or self._recorded.params.faults is not None

    def _note_migrations(self, first: int, scene: Scene) -> None:
        host = np.asarray(scene.host)
        before = np.concatenate([np.asarray(self._host)[None], host[:-1]])
        moves = np.asarray(scene.moves)[:, self._shown]
        tick, row = np.nonzero(moves)
        times = moves[tick, row]
        user = self._shown[row]
        migrations = np.stack([tick + first, row, before[tick, user], host[tick, user]])
        self._open.migrations.append(np.repeat(migrations, times, axis=1))
        self._host = host[-1]

    def _gather(self, outcome: TickOutcome, part: slice) -> None:
        time_s = np.asarray(outcome.completion_time_s[part], float)
        emitted = ~np.isnan(time_s)
        self._time_s += np.where(emitted, time_s, 0).sum((0, 2))
        self._tasks += emitted.sum((0, 2))
        per_tick = (outcome.migrations, outcome.handovers, outcome.overloaded)
        self._counts += np.array([np.asarray(counts[part]).sum() for counts in per_tick])

    def _columns(self, scene: Scene, at: Int[np.ndarray, "frames"]) -> dict[str, np.ndarray]:
        """Columns of frames that end with these ticks, a row for each frame."""
        of = lambda values: np.asarray(values)[at][:, self._shown]  # noqa: E731
        position_m, present = of(scene.position_m), of(scene.present)
        state = np.where(present, form.SERVED, form.ABSENT)
        if scene.stopped is not None:
            state = np.where(present & of(scene.stopped), form.STOPPED, state)
        columns = {
            "x_m": position_m[..., 0],
            "y_m": position_m[..., 1],
            "state": state,
            "station": of(scene.station),
            "host": of(scene.host),
            "offload_ratio": of(scene.offload_ratio),
            "granted_share": of(scene.granted_share),
            "load": np.asarray(scene.load)[at],
            "price_s": np.asarray(scene.price_s)[at],
        }
        if scene.up is not None:
            columns["up"] = np.asarray(scene.up)[at]
        return columns

    def _frame(self, columns: dict[str, np.ndarray]) -> None:
        """Close a frame with these columns at its end."""
        tasks = self._tasks[self._shown]
        mean_s = self._time_s[self._shown] / np.maximum(tasks, 1)
        self._delay_s = np.where(tasks > 0, mean_s, self._delay_s)
        columns |= {"tasks": tasks, "delay_s": self._delay_s}
        names = ("migrations", "handovers", "overloaded")
        sums = {
            "time_s": float(self._time_s.sum()),
            "tasks": int(self._tasks.sum()),
            **{name: int(count) for name, count in zip(names, self._counts, strict=True)},
        }
        self._open.add({name: rows for name, rows in columns.items() if self._has(name)}, sums)
        self._time_s[:], self._tasks[:], self._counts[:] = 0, 0, 0
        if self._open.frames >= _BLOCK_FRAMES:
            self._flush()

    def _flush(self) -> None:
        """Write the buffered frames as a block."""
        open_block, frames = self._open, self._open.frames
        if not frames:
            return
        columns = {
            name: form.COLUMNS[name].whole(np.stack(rows))
            for name, rows in open_block.columns.items()
        }
        moved = np.concatenate(open_block.migrations, axis=1)
        # Those of a frame that is still open come with it.
        now = moved[0] < (self._written + frames) * self._every
        for name, values in zip(("tick", "user", "source", "target"), moved[:, now], strict=True):
            columns[name] = values[None]
        block = form.ReplayBlock(self._written, frames, columns, open_block.sums)
        self._append(block.line())
        self._written += frames
        self._open = _Open(migrations=[moved[:, ~now]])

    def _append(self, line: str) -> None:
        def append() -> None:
            with partial_path(self._path).open("ab") as file:
                file.write(line.encode())

        self._try(append)

    def _try(self, write: Callable[[], object]) -> None:
        try:
            write()
        except OSError as error:
            raise RunError(f"{self._path}: cannot be written: {error.strerror or error}") from None

"""One cell of a comparison: one policy in one world of one scenario, run and measured."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from isma.contract import Policy
from isma.errors import PolicyError, ScenarioError
from isma.evaluation.course_sample import Course, CourseSample, SampledMoment, shown_users
from isma.policies.plain_python import policy_errors
from isma.simulator.params import Params
from isma.simulator.runner import PLAIN, Runner, most_ticks
from isma.simulator.serve import slots
from isma.simulator.state import State
from isma.simulator.step import TickOutcome
from isma.world.scenario import Scenario

BINS_PER_DECADE = 200
DECADES = (-5, 6)
NUM_BINS = BINS_PER_DECADE * (DECADES[1] - DECADES[0])
_DEADLINE_SLACK = 1e-5


@dataclass(frozen=True)
class Cell:
    """Result of a run; times in seconds, after the warm-up unless said otherwise."""

    user_time_s: Float[np.ndarray, "users"]
    """Sum of a user's completion times."""
    user_tasks: Int[np.ndarray, "users"]
    missed: Int[np.ndarray, "users"]
    """Tasks that missed their deadline."""
    histogram: Int[np.ndarray, "bins"]
    """Tasks by completion time: `BINS_PER_DECADE` bins a decade from 10^`DECADES[0]` s."""
    chunk_end_s: Float[np.ndarray, "chunks"]
    """End of each interval of the timeline, the warm-up included."""
    chunk_mean_s: Float[np.ndarray, "chunks"]
    chunk_migrations: Int[np.ndarray, "chunks"]
    chunk_handovers: Int[np.ndarray, "chunks"]
    chunk_overloaded: Float[np.ndarray, "chunks"]
    """Share of server-ticks in which more than the whole CPU was requested."""
    migrations: Int[np.ndarray, ""]
    handovers: Int[np.ndarray, ""]
    overloaded: Int[np.ndarray, ""]
    down_slots: Int[np.ndarray, ""]
    """Slots of downtime, all users together; 0 where moves are free."""
    unfinished: Int[np.ndarray, ""]
    """Tasks not done by the run's end, or when their user left; counted where tasks queue, else 0."""
    energy_j: Float[np.ndarray, ""]
    """Energy that all tasks took from their users' batteries; 0 where that is not computed."""
    forecast_weight: Float[np.ndarray, ""]
    """Weight of the policy's mobility forecast at the run's end, 0 to 1, averaged over users by their
    hosts; NaN for a policy without one."""
    mean_users: Float[np.ndarray, ""]
    """Users that are there, on average over time."""
    server_users: Float[np.ndarray, "servers"]
    """Users that are there and hosted by a server, on average over time."""
    server_requested: Float[np.ndarray, "servers"]
    server_granted: Float[np.ndarray, "servers"]
    shown: Int[np.ndarray, "shown"]
    """Users whose positions and tasks are kept: all, or in a large city a sample (`course_sample`)."""
    moment_s: Float[np.ndarray, "moments"]
    position_m: Float[np.ndarray, "moments shown 2"]
    """Where they are at moments evenly over the run, the last of which is its end; NaN for one that is
    not there."""
    station: Int[np.ndarray, "users"]
    host: Int[np.ndarray, "users"]
    offload_ratio: Float[np.ndarray, "users"]
    granted_share: Float[np.ndarray, "users"]
    task_sample: Float[np.ndarray, "sample 8"]
    """time_s, user, station, host, offload_ratio, granted_share, completion_time_s, deadline_s."""

    @property
    def mean_s(self) -> float:
        """The paper's objective (7): each user's mean over its tasks, then the mean over users."""
        return float(np.nanmean(self.user_mean_s))

    @property
    def user_mean_s(self) -> Float[np.ndarray, "users"]:
        """Each user's mean completion time; NaN for one that had no task."""
        none = self.user_tasks == 0
        return np.where(none, np.nan, self.user_time_s / np.maximum(self.user_tasks, 1))

    @property
    def task_mean_s(self) -> float:
        """Mean over all tasks."""
        return float(self.user_time_s.sum() / self.user_tasks.sum())


@runtime_checkable
class Recorder(Protocol):
    """Recorder of all ticks of a run."""

    def begin(self, state: State) -> None:
        """Record the world before its first tick."""

    def add(self, first: int, outcome: TickOutcome) -> None:
        """Record the ticks from `first` on."""


def run(
    scenario: Scenario,
    params: Params,
    policy: Policy,
    seed: int,
    on_ticks: Callable[[int], None],
    runner: Runner = PLAIN,
    recorder: Recorder | None = None,
) -> Cell:
    """Run one world to its end. `on_ticks` is called with the ticks of each chunk, and may raise to stop.

    Raises PolicyError where the policy's own code raises.
    """
    span = scenario.time
    chunk = chunk_ticks(params, span.num_ticks)
    with policy_errors(policy):
        state, memory, key = runner.start(scenario, params, policy, seed)
        advance = runner.advance(params, policy, (state, memory, key))
        tally = _Tally(scenario, params, state)
        if recorder is not None:
            recorder.begin(state)
        for first in range(0, span.num_ticks, chunk):
            count = min(chunk, span.num_ticks - first)
            state, memory, outcome = advance((state, memory, key), count)
            tally.add(first, outcome, state)
            if recorder is not None:
                recorder.add(first, outcome)
            on_ticks(count)
        weight = policy.forecast_weight(memory)
    return tally.cell(weight)


def chunk_ticks(params: Params, num_ticks: int) -> int:
    """Ticks of a run after which its course is noted: `most_ticks`, or fewer that divide it evenly."""
    most = min(most_ticks(params), num_ticks)
    even = (ticks for ticks in range(most, most // 2, -1) if num_ticks % ticks == 0)
    return next(even, most)


_slots = jax.jit(jax.vmap(slots, in_axes=(None, None, 0)))


class _Tally:
    """Adds up a run in double precision, chunk by chunk."""

    def __init__(self, scenario: Scenario, params: Params, state: State) -> None:
        users = params.shape.num_users
        self._warmup, self._tick_s = scenario.time.warmup_ticks, scenario.time.tick_s
        self._servers = params.shape.num_servers
        self._deadline_s = np.asarray(state.requests.deadline_s, float)
        self._time, self._tasks = np.zeros(users), np.zeros(users, int)
        self._missed, self._histogram = np.zeros(users, int), np.zeros(NUM_BINS, int)
        self._counts = np.zeros(4, int)
        self._unfinished, self._present, self._energy_j = 0, 0, 0.0
        self._params, self._duration_s = params, scenario.time.duration_s
        self._counted_ticks = scenario.time.num_ticks - self._warmup
        self._course, self._moments = Course(columns=6), CourseSample()
        self._load, self._loads = np.zeros((3, self._servers)), 0
        self._shown = shown_users(users)
        self._last = state

    def add(self, first: int, outcome: TickOutcome, state: State) -> None:
        time_s = np.asarray(outcome.completion_time_s, float)
        emitted = ~np.isnan(time_s)
        _finite(time_s, emitted)
        counted = emitted[max(0, self._warmup - first) :]
        after = np.where(counted, time_s[max(0, self._warmup - first) :], 0.0)
        self._time += after.sum((0, 2))
        self._tasks += counted.sum((0, 2))
        self._missed += (after > self._deadline_s[:, None] * (1 + _DEADLINE_SLACK)).sum((0, 2))
        self._histogram += _histogram(after[counted])
        if outcome.present is not None:
            self._present += int(outcome.present[max(0, self._warmup - first) :].sum())
        if outcome.energy_j is not None:
            energy_j = np.asarray(outcome.energy_j[max(0, self._warmup - first) :], float)
            self._energy_j += float(energy_j[counted].sum())
        if self._params.shape.queued:
            late = counted & (self._end_s(first, after, state) > self._last_s(state))
            self._unfinished += int(late.sum())
        down = np.zeros(len(time_s), int) if outcome.down_slots is None else outcome.down_slots
        per_tick = np.stack([outcome.migrations, outcome.handovers, outcome.overloaded, down], 1)
        self._counts += per_tick[max(0, self._warmup - first) :].sum(0)
        self._note(first, time_s, emitted, per_tick, state)

    def _end_s(self, first: int, after: np.ndarray, state: State) -> np.ndarray:
        """When each task of a chunk's last ticks ends."""
        ticks = np.arange(len(after), dtype=np.int32) + max(first, self._warmup)
        slot = np.asarray(_slots(self._params, state.emission, ticks), float)
        return slot * float(self._params.slot_s) + after

    def _last_s(self, state: State) -> Float[np.ndarray, "users 1"]:
        """By when a user's tasks have to be done: the run's end, or when it leaves."""
        leave_slot = state.emission.leave_slot
        if leave_slot is None:
            return np.full((len(self._time), 1), self._duration_s)
        leave_s = np.asarray(leave_slot, float)[:, None] * float(self._params.slot_s)
        return np.minimum(leave_s, self._duration_s)

    def _note(
        self,
        first: int,
        time_s: np.ndarray,
        emitted: Bool[np.ndarray, "..."],
        per_tick: np.ndarray,
        state: State,
    ) -> None:
        ticks = len(time_s)
        end_s = (first + ticks) * self._tick_s
        sums = (time_s[emitted].sum(), emitted.sum(), *per_tick.sum(0)[:3], ticks * self._servers)
        self._course.add(end_s, np.array(sums, float))
        placement = state.placement
        host, there = np.asarray(placement.host), self._there(state)
        if first + ticks > self._warmup:
            users = np.bincount(host[there], minlength=self._servers)
            granted = np.bincount(host, np.asarray(placement.granted_share, float), self._servers)
            self._load += np.stack([users, np.asarray(placement.load, float), granted])
            self._loads += 1
            tasks = self._tasks_of(end_s - self._tick_s, time_s[-1], emitted[-1], state)
        else:
            tasks = np.zeros((0, 8))
        position_m = np.asarray(state.motion.position_m)[self._shown]
        if not there.all():  # Absent users have no position.
            position_m = np.where(there[self._shown, None], position_m, np.nan)
        self._moments.add(SampledMoment(end_s, position_m, tasks))
        self._last = state

    def _there(self, state: State) -> Bool[np.ndarray, "users"]:
        """Users that have arrived and not left; all, where users do not come and go."""
        emission = state.emission
        if emission.leave_slot is None:
            return np.ones(len(self._time), bool)
        now_slot = int(state.tick) * int(self._params.slots_per_tick)
        come = np.asarray(emission.first_slot) < now_slot
        return come & (np.asarray(emission.leave_slot) > now_slot)

    def _tasks_of(
        self, start_s: float, time_s: np.ndarray, emitted: np.ndarray, state: State
    ) -> np.ndarray:
        place, number = np.nonzero(emitted[self._shown])
        user = self._shown[place]
        placement = state.placement
        columns = (state.station, placement.host, placement.offload_ratio, placement.granted_share)
        return np.stack(
            [
                np.full(len(user), start_s),
                user,
                *(np.asarray(column, float)[user] for column in columns),
                time_s[user, number],
                self._deadline_s[user],
            ],
            axis=1,
        )

    def _mean_users(self) -> float:
        if self._params.visits is None:
            return float(len(self._time))
        return self._present / self._counted_ticks

    def _mean_weight(self, weight: Float[Array, "servers"] | None) -> float:
        if weight is None:
            return np.nan
        there = self._there(self._last)
        hosts = np.asarray(self._last.placement.host)[there]
        return float(np.asarray(weight, float)[hosts].mean()) if there.any() else np.nan

    def cell(self, weight: Float[Array, "servers"] | None) -> Cell:
        if not self._tasks.any():
            raise ScenarioError(
                "no user has a task after the warm-up: raise time.duration_s, or lower "
                "servers.decision_period_s, within whose length the first tasks come"
            )
        end_s, sums = self._course.intervals()
        moments, some = self._moments.all(), np.maximum(sums[:, 1], 1)
        load = self._load / self._loads if self._loads else np.full((3, self._servers), np.nan)
        placement = self._last.placement
        return Cell(
            user_time_s=self._time,
            user_tasks=self._tasks,
            missed=self._missed,
            histogram=self._histogram,
            chunk_end_s=end_s,
            chunk_mean_s=np.where(sums[:, 1] > 0, sums[:, 0] / some, np.nan),
            chunk_migrations=sums[:, 2].astype(int),
            chunk_handovers=sums[:, 3].astype(int),
            chunk_overloaded=sums[:, 4] / sums[:, 5],
            migrations=np.asarray(self._counts[0]),
            handovers=np.asarray(self._counts[1]),
            overloaded=np.asarray(self._counts[2]),
            down_slots=np.asarray(self._counts[3]),
            unfinished=np.asarray(self._unfinished),
            energy_j=np.asarray(self._energy_j),
            forecast_weight=np.asarray(self._mean_weight(weight)),
            mean_users=np.asarray(self._mean_users()),
            server_users=load[0],
            server_requested=load[1],
            server_granted=load[2],
            shown=self._shown,
            moment_s=np.array([moment.time_s for moment in moments]),
            position_m=np.stack([moment.position_m for moment in moments]),
            station=np.asarray(self._last.station),
            host=np.asarray(placement.host),
            offload_ratio=np.asarray(placement.offload_ratio),
            granted_share=np.asarray(placement.granted_share),
            task_sample=np.concatenate([moment.tasks for moment in moments]),
        )


def _histogram(time_s: np.ndarray) -> np.ndarray:
    place = (np.log10(np.maximum(time_s, 1e-12)) - DECADES[0]) * BINS_PER_DECADE
    return np.bincount(np.clip(place, 0, NUM_BINS - 1).astype(int), minlength=NUM_BINS)


def _finite(time_s: np.ndarray, emitted: np.ndarray) -> None:
    if not np.all(np.isfinite(time_s[emitted])):
        raise PolicyError(
            "a task never finishes: the policy asks for no CPU share, or for what is no number"
        )

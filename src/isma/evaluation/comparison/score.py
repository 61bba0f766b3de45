"""A row of `summary.csv` as named values: the results of a policy at one point."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


def _column(meaning: str) -> Any:
    return dataclasses.field(metadata={"meaning": meaning})


def _beyond(meaning: str, heading: str, unit: str) -> Any:
    """A column that only runs with something switched on have, and how a table heads it."""
    metadata = {"meaning": meaning, "heading": (heading, unit)}
    return dataclasses.field(default=float("nan"), metadata=metadata)


@dataclass(frozen=True)
class Score:
    """Results of one policy at one point; each field is the column of its name."""

    policy: str = _column("the policy, as it was named on the command line")
    reference: bool = _column(
        "true for policies that see what no policy may see: nobody can run them"
    )
    mean_s: float = _column(
        "each user's mean completion time, averaged over users, then over seeds"
    )
    mean_s_low: float = _column("lower end of the 95 % interval of mean_s over worlds")
    mean_s_high: float = _column("upper end of the 95 % interval of mean_s over worlds")
    above_best_ratio: float = _column(
        "distance to the best policy that is not a reference, paired: "
        "every policy met the same worlds; this one says who is better"
    )
    above_best_low: float = _column("lower end of its 95 % interval")
    above_best_high: float = _column("upper end of its 95 % interval")
    task_mean_s: float = _column("mean completion time over all tasks")
    p50_s: float = _column("half of all tasks were faster")
    p95_s: float = _column("95 % of all tasks were faster")
    p99_s: float = _column("99 % of all tasks were faster")
    deadline_miss_ratio: float = _column("share of tasks slower than wholly local")
    migrations_per_user_hour: float = _column("moves of a service to another server")
    handovers_per_user_hour: float = _column("changes of a user's base station")
    overload_ratio: float = _column(
        "share of server-ticks in which more than the whole CPU was requested"
    )
    signalling_bytes_per_s: float = _column(
        "broadcasts and what travels with migrations, all servers together"
    )
    decision_ms_p50: float = _column("median wall time that decisions of all servers add to a tick")
    decision_ms_p99: float = _column("99 % of such ticks were faster")
    bound_s: float = _column("lower bound of any policy's mean")
    above_bound_ratio: float = _column("distance of mean_s to the bound")
    seeds: float = _column("how many worlds were simulated")
    unit: str = _column("what the intervals are over: seeds, or the users of one trace")
    downtime_s_per_user_hour: float = _beyond(
        "time for which a user's service stood still", "Downtime", "s per user, hour"
    )
    unfinished_ratio: float = _beyond(
        "share of tasks not done by the run's end, or when their user left",
        "Unfinished",
        "of tasks",
    )
    energy_j_per_task: float = _beyond(
        "energy of a task from its user's battery, averaged over all tasks", "Energy", "J per task"
    )
    forecast_weight: float = _beyond(
        "weight of the policy's mobility forecast in its decisions at the end of the run, 0 to 1: how "
        "far forecasts have been borne out; empty for policies without one",
        "Forecast",
        "weight",
    )

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Take the columns of a row of the summary."""
        present = {name: row[name] for name in BEYOND if name in row}
        return cls(**{name: row[name] for name in COLUMNS}, **present)

    @property
    def above_best(self) -> "Gap":
        """How much longer it takes than the best policy there."""
        return Gap(self.above_best_ratio, self.above_best_low, self.above_best_high)


_FIELDS = dataclasses.fields(Score)
COLUMNS: Mapping[str, str] = {
    field.name: field.metadata["meaning"] for field in _FIELDS if "heading" not in field.metadata
}
"""Columns of every run's summary, and their meaning."""
TIMES: tuple[str, ...] = ("decision_ms_p50", "decision_ms_p99")
"""Those of them that a clock has measured: they stand in a table of their own."""
BEYOND: Mapping[str, str] = {
    field.name: field.metadata["meaning"] for field in _FIELDS if "heading" in field.metadata
}
"""Columns of features beyond the paper that are switched on, and their meaning."""
HEADINGS: Mapping[str, tuple[str, str]] = {
    field.name: field.metadata["heading"] for field in _FIELDS if "heading" in field.metadata
}
"""Heading and unit of those columns."""


@dataclass(frozen=True)
class Gap:
    """How much longer one policy takes than another, as a ratio with its paired 95 % interval."""

    ratio: float
    low: float
    """NaN, as `high`, where one unit alone gives no interval."""
    high: float

    @property
    def certain(self) -> bool:
        """Whether the other one is faster by more than chance."""
        return self.low > 0

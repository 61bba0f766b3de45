"""Request traces as workloads: recorded requests with their tokens, as of Azure's LLM services.

A request's work is its tokens times the cycles of one, its data the text of its context. Users come
when requests came, and each stays for a session of several requests. Which user sent which request is not
in such a trace, and neither is where.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from isma.errors import DataError, ScenarioError, short
from isma.world import inputs, traces
from isma.world.importers import times
from isma.world.importers.dates import TimeRule

TIME, CONTEXT, GENERATED = "TIMESTAMP", "ContextTokens", "GeneratedTokens"
"""Columns of the Azure LLM inference traces of 2023 and 2024."""
CYCLES_PER_TOKEN = 125e6
"""Of a model with 10⁹ weights: 2 FLOP a weight and token (arXiv 2001.08361), 16 FLOP a cycle."""
BITS_PER_TOKEN = 32.0
"""Four characters of a byte."""
SESSION_S, SESSION_REQUESTS = 60.0, 10
"""Time that a user stays, and its requests in that time: ours, since no trace tells users apart."""
_PARTS = 4
"""Classes of services are quarters of the requests by context, times quarters by generated tokens."""


@dataclass(frozen=True)
class RequestTrace:
    """Requests in the order of time."""

    time_s: Float[np.ndarray, "requests"]
    """UNIX seconds, or from a start of its own."""
    context: Float[np.ndarray, "requests"]
    """Tokens that were sent."""
    generated: Float[np.ndarray, "requests"]
    """Tokens that came back."""
    lines: tuple[str, ...]
    """Report of the table: read, understood and dropped."""

    @property
    def span_s(self) -> float:
        """Time from the first request to the last."""
        return float(self.time_s[-1] - self.time_s[0])

    def within(self, start_s: float, duration_s: float) -> "RequestTrace":
        """Requests of a window, their times from its start."""
        first, last = np.searchsorted(self.time_s, (start_s, start_s + duration_s))
        part = slice(first, last)
        return RequestTrace(
            self.time_s[part] - start_s, self.context[part], self.generated[part], self.lines
        )


@dataclass(frozen=True)
class Session:
    """Assumptions that turn requests into users."""

    cycles_per_token: float = CYCLES_PER_TOKEN
    duration_s: float = SESSION_S
    requests: int = SESSION_REQUESTS


def read(path: Path, rule: TimeRule) -> RequestTrace:
    """Read a table with the columns TIMESTAMP, ContextTokens and GeneratedTokens, packed or not.

    Raises DataError for another table, and one without a request that can be read.
    """
    try:
        with inputs.table(path, "trace of requests") as (file, _):
            table = pd.read_csv(file, dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, ValueError) as error:
        raise DataError(f"{path}: must be a CSV file: {short(error, 200)}") from None
    names = {str(name).strip().casefold(): name for name in table.columns}
    missing = [name for name in (TIME, CONTEXT, GENERATED) if name.casefold() not in names]
    if missing or table.empty:
        raise DataError(
            f"{path}: must hold requests in columns {TIME}, {CONTEXT}, {GENERATED}, "
            + (f"missing {', '.join(missing)}" if missing else "got none")
        )
    column = lambda name: pd.Series(table[names[name.casefold()]])  # noqa: E731
    moments = times.parsed(column(TIME), f"{path}: {TIME}", rule)
    context, generated = (
        np.asarray(pd.to_numeric(column(name), errors="coerce"), np.float64)
        for name in (CONTEXT, GENERATED)
    )
    sound = np.isfinite(moments.time_s)
    sized = np.isfinite(context + generated) & (context >= 1) & (generated >= 0)
    kept = np.flatnonzero(sound & sized)
    if len(kept) < 2:
        raise DataError(f"{path}: must hold at least two requests with a time and tokens")
    kept = kept[np.argsort(moments.time_s[kept], kind="stable")]
    lines = (
        f"read {short(path.name)}: {len(table):,} requests, time: {moments.understood}",
        f"kept {len(kept):,}; dropped {int((~sound).sum()):,} without a time, "
        f"{int((sound & ~sized).sum()):,} without tokens",
    )
    return RequestTrace(moments.time_s[kept], context[kept], generated[kept], lines)


def window(
    trace: RequestTrace, start: datetime | None, duration_s: float
) -> tuple[RequestTrace, str]:
    """The requests of a window, and its first moment in words: the busiest one where no start is given.

    Raises ScenarioError for a window that is not within the trace.
    """
    first_s, last_s = float(trace.time_s[0]), float(trace.time_s[-1])
    if start is None:
        if duration_s > trace.span_s:
            raise ScenarioError(
                f"duration_s must be at most the trace's length ({trace.span_s:g} s), got {duration_s:g}"
            )
        begins = trace.time_s[trace.time_s <= last_s - duration_s]
        count = np.searchsorted(trace.time_s, begins + duration_s) - np.arange(len(begins))
        start_s = float(begins[np.argmax(count)])
    else:
        start_s = start.timestamp()
        if not first_s <= start_s <= last_s - duration_s:
            raise ScenarioError(
                f"start must lie from {_moment(first_s)} to {_moment(last_s - duration_s)}, so that "
                f"{duration_s:g} s are within the trace, got {_moment(start_s)}"
            )
    part = trace.within(start_s, duration_s)
    if not len(part.time_s):
        raise ScenarioError(f"the {duration_s:g} s from {_moment(start_s)} must have a request")
    return part, _moment(start_s)


def fields(
    part: RequestTrace, session: Session, duration_s: float, slot_s: float
) -> dict[str, Any]:
    """A scenario's services, users and presence of these requests. Raises ScenarioError."""
    interval_s = session.duration_s / session.requests
    if session.duration_s >= duration_s:
        raise ScenarioError(
            f"a session must be shorter than the run ({duration_s:g} s), got {session.duration_s:g}"
        )
    if interval_s < slot_s:
        raise ScenarioError(
            f"a session must have a slot of {slot_s:g} s for each request, got {session.requests} "
            f"requests in {session.duration_s:g} s"
        )
    return {
        "services": classes(part, session.cycles_per_token, interval_s),
        "users": {"count": max(1, round(len(part.time_s) / session.requests))},
        "presence": {
            "enabled": True,
            "kind": "recorded",
            "file": "arrivals.csv",
            "stay_s": [session.duration_s, session.duration_s],
        },
    }


def classes(part: RequestTrace, cycles_per_token: float, interval_s: float) -> list[dict[str, Any]]:
    """Classes of services that quantise the requests' sizes, each with the mean of its own.

    So the mean of data and cycles is that of the requests, and most of their spread is kept.
    """
    quarters = [_quarter(values) for values in (part.context, part.generated)]
    found = []
    for sent in range(_PARTS):
        for back in range(_PARTS):
            of_class = (quarters[0] == sent) & (quarters[1] == back)
            if not of_class.any():
                continue
            context, generated = part.context[of_class], part.generated[of_class]
            bits = float(BITS_PER_TOKEN * context.mean())
            cycles = float(cycles_per_token * (context + generated).mean())
            found.append(
                {
                    "name": f"{_range(context)} tokens in, {_range(generated)} out",
                    "weight": float(of_class.sum()),
                    "interval_s": [interval_s, interval_s],
                    "data_bits": [bits, bits],
                    "cycles": [cycles, cycles],
                }
            )
    return found


def described(
    part: RequestTrace, session: Session, tree: dict[str, Any], clock_hz: float, began: str
) -> list[str]:
    """Report of the window: requests, tokens, users, and the load on all servers' CPU together."""
    count, duration_s = len(part.time_s), tree["time"]["duration_s"]
    users, weight = tree["users"]["count"], np.array([one["weight"] for one in tree["services"]])
    cycles = np.array([one["cycles"][0] for one in tree["services"]])
    mean = float(np.average(cycles, weights=weight))
    spread = float(np.average((cycles - mean) ** 2, weights=weight) ** 0.5)
    whole = session.cycles_per_token * (part.context + part.generated)
    asked_hz = float(whole.sum()) / duration_s
    lines = [
        f"{count:,} requests in {duration_s:g} s from {began}: {part.context.mean():,.0f} tokens in and "
        f"{part.generated.mean():,.0f} out on average, {_bursts(part, duration_s)}",
        f"{users:,} users come when requests came; each stays {session.duration_s:g} s and has "
        f"{session.requests} requests: {users * session.duration_s / duration_s:.1f} users at a time",
        f"{len(cycles)} classes of services, quarters by tokens in and out: {mean / 1e9:.4g} Gcycles a "
        f"request as in the trace, spread {spread / max(float(whole.std()), 1e-9):.0%} of the trace's",
        f"they ask for {asked_hz / 1e9:.4g} GHz on average, {asked_hz / clock_hz:.0%} of all servers' CPU",
    ]
    if asked_hz > clock_hz:
        lines.append(
            "odd: more than all servers have: lower --cycles-per-token, or raise servers.clock_hz (half the "
            f"CPU is asked for where it is {2 * asked_hz / clock_hz:.0f} times as high)"
        )
    return lines


def _quarter(values: Float[np.ndarray, "requests"]) -> np.ndarray:
    """Index of each value's quarter; equal values share one."""
    ends = np.quantile(values, np.arange(1, _PARTS) / _PARTS)
    return np.searchsorted(ends, values, side="left")


def _bursts(part: RequestTrace, duration_s: float) -> str:
    """How much the number of requests in ten seconds varies, beside that of a Poisson process."""
    bins = max(2, int(duration_s // 10))
    counts = np.histogram(part.time_s, bins, (0.0, duration_s))[0]
    return f"index of dispersion over {duration_s / bins:g} s {counts.var() / counts.mean():.3g} (Poisson: 1)"


def _range(values: Float[np.ndarray, "requests"]) -> str:
    low, high = int(values.min()), int(values.max())
    return f"{low}" if low == high else f"{low}–{high}"


def _moment(time_s: float) -> str:
    """A moment as text; one from a start of its own as seconds."""
    if time_s < 1e8:
        return f"{time_s:g} s"
    return traces.utc_text(time_s)

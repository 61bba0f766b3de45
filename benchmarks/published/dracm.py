"""DRACM's San Francisco test under its rules, its optimum and our policies; what the published code says."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.published import dracm_code, dracm_policy, dracm_rules
from benchmarks.published.checkout import commit_of
from benchmarks.published.dracm_instance import (
    REPOSITORY,
    Instance,
    Parameters,
    instance_of,
    parameters_of,
)
from benchmarks.published.dracm_rules import Image
from isma.evaluation.statistics import paired_ratio

POLICIES = "price:spread=0:rivals=64,isma2:spread=0:rivals=64"
"""With the options for a user without rivals."""
_OTHER_DRAWS = 1
"""Added to the seed for the draws by which the future is averaged."""


@dataclass(frozen=True)
class Row:
    """Sum of delays over the slots of a trace, in seconds, on average over traces."""

    image: str
    """When a service's image is charged."""
    policy: str
    mean_s: float
    error_s: float
    """Standard error over traces."""
    excess: float
    """Relative excess over the optimum, paired."""
    excess_low: float
    excess_high: float
    """Ends of its 95 % t interval over traces."""
    moves: float | None
    """Migrations of a trace; None of the optimum, of which only the cost is computed."""


@dataclass(frozen=True)
class Check:
    """Largest relative difference between our costs and those of the published code, trace by trace."""

    traces: int
    optimum: float
    never: float
    always: float
    paid_always: float
    """Of the rewards that its environment pays, whose hops count from two slots ago."""
    optimum_s: float
    """Mean optimum by the published code, in seconds."""


@dataclass(frozen=True)
class Result:
    """Everything that the command tells."""

    repository: str
    commit: str
    seed: int
    rows: list[Row]
    paid_optimum_s: float
    """Mean optimum by the rewards that the environment pays, in seconds."""
    check: Check | None


def measure(
    source: Path,
    seed: int,
    policies: Sequence[str],
    theirs: int,
    on_part: Callable[[str], None] = lambda label: None,
) -> Result:
    """Costs of everything by both rules; of the published code on `theirs` traces. Raises IsmaError."""
    test = parameters_of(source)
    on_part("drawing loads")
    one = instance_of(source, test, seed)
    check = None
    if theirs:
        on_part("running the published code")
        check = compared(one, dracm_code.run(source, seed, theirs))
    rows = []
    for image in Image:
        optimum_s = dracm_rules.optimum_s(one, image)
        rows.append(_row(image, "optimum", optimum_s, optimum_s))
        for name, place in _placements(one, test, image, seed, policies, on_part):
            cost_s = dracm_rules.cost_s(one, place, image)
            rows.append(_row(image, name, cost_s, optimum_s, _moves(one, place)))
    paid_s = float(dracm_rules.paid_optimum_s(one).mean())
    return Result(REPOSITORY, commit_of(source), seed, rows, paid_s, check)


def compared(one: Instance, published: dracm_code.Published) -> Check:
    """Our costs and those of the published code on its traces, with the same draws."""
    traces = len(published.optimum_s)
    few = Instance(*(part[:traces] for part in one))._replace(hops=one.hops)
    always, never = dracm_rules.always(few), dracm_rules.never(few)
    ours = {
        "optimum": dracm_rules.optimum_s(few, Image.ALWAYS),
        "never": dracm_rules.cost_s(few, never, Image.ALWAYS),
        "always": dracm_rules.cost_s(few, always, Image.ALWAYS),
        "paid_always": dracm_rules.cost_s(few, always, Image.ALWAYS, lag=2),
    }
    apart = {
        name: float(np.abs(value / getattr(published, f"{name}_s") - 1).max())
        for name, value in ours.items()
    }
    return Check(traces, **apart, optimum_s=float(published.optimum_s.mean()))


def as_json(result: Result) -> str:
    """Everything as JSON."""
    return json.dumps(asdict(result), indent=2)


def as_text(result: Result) -> str:
    """Costs as a table for each rule, and what was found beside."""
    lines = [f"{result.repository} @ {result.commit}, seed {result.seed}"]
    width = max(len(row.policy) for row in result.rows)
    for image in Image:
        lines.append(f"\nimage charged {image.value}")
        lines.append(
            f"{'':<{width}}{'s a trace':>12}{'± s.e.':>8}{'over the optimum':>26}{'moves':>8}"
        )
        for row in (row for row in result.rows if row.image == image.value):
            ends = f"({row.excess_low:.1%} to {row.excess_high:.1%})"
            over = "" if row.policy == "optimum" else f"{row.excess:.1%} {ends}"
            moves = "" if row.moves is None else f"{row.moves:.1f}"
            lines.append(
                f"{row.policy:<{width}}{row.mean_s:>12.1f}{row.error_s:>8.1f}{over:>26}{moves:>8}"
            )
    lines.append(
        f"\nThe environment's own rewards count hops from two slots ago: optimum "
        f"{result.paid_optimum_s:.1f} s."
    )
    if result.check is not None:
        lines.append(
            f"Published code on {result.check.traces} traces: optimum {result.check.optimum_s:.2f} s; ours "
            f"differs by at most {result.check.optimum:.4%} in a trace, never {result.check.never:.4%}, "
            f"always {result.check.always:.4%}, its own rewards {result.check.paid_always:.4%}."
        )
    return "\n".join(lines)


def _placements(
    one: Instance,
    test: Parameters,
    image: Image,
    seed: int,
    policies: Sequence[str],
    on_part: Callable[[str], None],
) -> Iterator[tuple[str, np.ndarray]]:
    """Names and placements of everything that decides, one by one."""
    on_part("averaging over the future")
    later_s = dracm_rules.expected_later_s(one, test, image, seed + _OTHER_DRAWS)
    yield "expected future", dracm_rules.myopic(one, image, later_s)
    for name in policies:
        on_part(name)
        yield name, dracm_policy.placement(one, test, name, image)
    yield "myopic", dracm_rules.myopic(one, image)
    yield "always", dracm_rules.always(one)
    yield "never", dracm_rules.never(one)


def _row(
    image: Image,
    policy: str,
    cost_s: np.ndarray,
    optimum_s: np.ndarray,
    moves: float | None = None,
) -> Row:
    error_s = float(cost_s.std(ddof=1) / np.sqrt(len(cost_s)))
    excess = paired_ratio(cost_s, optimum_s)
    return Row(image.value, policy, float(cost_s.mean()), error_s, *excess, moves)


def _moves(one: Instance, place: np.ndarray) -> float:
    """Migrations of a trace, on average; from where the user was first."""
    before = np.concatenate([one.station[:, :1], place[:, :-1]], axis=1)
    return float((place != before).sum() / len(place))

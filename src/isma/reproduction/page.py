"""The page of a reproduction, and `claims.csv`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import jinja2
import pandas as pd

from isma.evaluation.report.figures.inline import inline
from isma.evaluation.report.formatting import number, percent, percent_span
from isma.evaluation.statistics import interval
from isma.reproduction.claims import Finding, Verdict
from isma.reproduction.contenders import CONTENDERS
from isma.reproduction.plot import reductions
from isma.reproduction.result import Result

_RULE = "nearest"
"""Baseline rule: a learned policy that loses to it is reported as losing."""


@dataclass(frozen=True)
class Against:
    """A learned policy against a rule, at every x."""

    policy: str
    cells: tuple[str, ...]
    """How far above the rule, with the paired interval."""
    loses: bool
    """Whether it is certainly above the rule at some x, and below it at none."""


def claims_csv(results: Sequence[Result]) -> str:
    """Every claim: the paper's number, ours with its interval, and the verdict."""
    rows = [
        {
            "figure": result.figure.name,
            "claim": finding.claim,
            "dqn": finding.dqn,
            "remote_price_s": finding.remote_price_s,
            "paper": finding.paper,
            "measured": finding.measured,
            "low": finding.low,
            "high": finding.high,
            "verdict": str(finding.verdict),
            "best_x": finding.best_x,
            "best": finding.best,
        }
        for result in results
        for finding in result.findings
    ]
    return pd.DataFrame(rows).to_csv(index=False, lineterminator="\n", float_format="%.6g")


def render(results: Sequence[Result]) -> str:
    """The page as text: every figure, its reductions, the verdicts, and policies that lose to the rule."""
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [
                jinja2.PackageLoader("isma.reproduction"),
                jinja2.PackageLoader("isma.evaluation.report"),
            ]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "span": percent_span, "number": number}
    verdicts = [finding.verdict for result in results for finding in result.findings]
    return environment.get_template("reproduction.html.j2").render(
        results=[(result, inline(result.picture), against(result)) for result in results],
        counts=[(str(verdict), verdicts.count(verdict)) for verdict in Verdict],
        scale=results[0].scale,
        reductions=reductions,
        measured_as=measured_as,
        isnan=math.isnan,
        rule=_RULE,
    )


def measured_as(finding: Finding) -> str:
    """Policies that stood for the paper's, where there is a choice."""
    price = f"price {finding.remote_price_s:g} s" if finding.remote_price_s else ""
    return ", ".join(part for part in (finding.dqn, price) if part)


def against(result: Result) -> list[Against]:
    """Every learned policy against the rule, worst first."""
    rows = []
    base = result.delays.mean_s[_RULE]
    for policy in (one.name for one in CONTENDERS):
        above = result.delays.mean_s[policy] / base - 1
        ends = [interval(row) for row in above]
        cells = tuple(
            f"{percent(float(row.mean()), signed=True)} ({percent_span(*end)})"
            for row, end in zip(above, ends, strict=True)
        )
        loses = any(low > 0 for low, _ in ends) and not any(high < 0 for _, high in ends)
        rows.append((float(above.mean()), Against(policy, cells, loses)))
    return [row for _, row in sorted(rows, key=lambda item: -item[0])]

"""Claims about delays, and verdicts on them by measurements, paired over seeds.

A number is *reproduced* if the paper's lies in our 95 % interval or within 20 % of ours; it is of
the *same order* if the sign is the paper's and the interval excludes 0; else it is *not reproduced*.
A trend or an order is reproduced if it is certain, that is, if its interval excludes 0.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from jaxtyping import Float

from isma.evaluation.statistics import interval
from isma.reproduction.contenders import DQN, LITERAL, PLANNERS, PRICE_S, priced

OURS = "isma"
_CLOSE = 0.2


class Verdict(StrEnum):
    """Verdict on a claim."""

    REPRODUCED = "reproduced"
    SAME_ORDER = "same order"
    NOT_REPRODUCED = "not reproduced"


@dataclass(frozen=True)
class Delays:
    """Mean completion times, in seconds, at every x and in every world."""

    values: tuple[str, ...]
    """The x values, in order."""
    mean_s: Mapping[str, Float[np.ndarray, "values seeds"]]
    """By policy."""

    def change(self, policy: str) -> Float[np.ndarray, "seeds"]:
        """Relative change from the first x to the last, in each world."""
        delays = self.mean_s[policy]
        return delays[-1] / delays[0] - 1

    def standing_in(self, measured: Mapping[str, str]) -> "Delays":
        """Delays in which policies stand for the paper's: measured policy by the paper's name."""
        stand_ins = {name: self.mean_s[policy] for name, policy in measured.items()}
        return Delays(self.values, {**self.mean_s, **stand_ins})


@dataclass(frozen=True)
class Finding:
    """A claim and its measurement: a row of `claims.csv`."""

    claim: str
    paper: str
    measured: float
    low: float
    high: float
    verdict: Verdict
    best_x: str = ""
    """Where along x a reduction was largest, if the claim is one."""
    best: float = float("nan")
    """The reduction there."""
    dqn: str = ""
    """Reading of DQN that was measured, if the claim is about DQN."""
    remote_price_s: float | None = None
    """Price on remote shares that the planners paid, if the claim is about them."""


@dataclass(frozen=True)
class Claim:
    """Statement of the paper about a figure."""

    @property
    @abstractmethod
    def policies(self) -> tuple[str, ...]:
        """Policies that it is about, by the paper's names."""

    @abstractmethod
    def judge(self, delays: Delays) -> Finding:
        """Measure it and give the verdict."""


@dataclass(frozen=True)
class Reduction(Claim):
    """Reduction of iSMA's delay against another's, as a mean over x."""

    other: str
    paper: float
    """The paper's reduction, as a ratio."""

    @property
    def policies(self) -> tuple[str, ...]:
        """iSMA and the other."""
        return (OURS, self.other)

    def judge(self, delays: Delays) -> Finding:
        """Per world the mean over x of one minus the ratio of delays."""
        below = 1 - delays.mean_s[OURS] / delays.mean_s[self.other]
        each = np.mean(below, axis=0)
        at = np.mean(below, axis=1)
        best = int(np.argmax(at))
        low, high = interval(each)
        measured = float(np.mean(each))
        return Finding(
            f"iSMA reduces the delay of {self.other.upper()}, mean over x",
            f"{self.paper:.1%}",
            measured,
            low,
            high,
            _verdict(measured, low, high, self.paper),
            delays.values[best],
            float(at[best]),
        )


@dataclass(frozen=True)
class Lowest(Claim):
    """iSMA's delay is below all of these at every x."""

    others: tuple[str, ...]

    @property
    def policies(self) -> tuple[str, ...]:
        """iSMA and the others."""
        return (OURS, *self.others)

    def judge(self, delays: Delays) -> Finding:
        """Shares of (x, other) pairs: lower in the mean, certainly lower, not certainly higher."""
        lower, certain, possible = [], [], []
        for other in self.others:
            for ours, theirs in zip(delays.mean_s[OURS], delays.mean_s[other], strict=True):
                low, high = interval(ours / theirs - 1)
                lower.append(np.mean(ours / theirs) < 1)
                certain.append(high < 0)
                possible.append(not low > 0)
        measured, low, high = (float(np.mean(part)) for part in (lower, certain, possible))
        verdict = Verdict.REPRODUCED if low == 1 else Verdict.NOT_REPRODUCED
        names = ", ".join(other.upper() for other in self.others)
        text = f"iSMA is lowest at every x (share of comparisons with {names} that it wins)"
        return Finding(text, "100%", measured, low, high, verdict)


@dataclass(frozen=True)
class Trend(Claim):
    """A policy's delay falls, or rises, along x."""

    policy: str
    rises: bool

    @property
    def policies(self) -> tuple[str, ...]:
        """The policy."""
        return (self.policy,)

    def judge(self, delays: Delays) -> Finding:
        """Relative change from the first x to the last."""
        each = delays.change(self.policy)
        low, high = interval(each)
        certain = low > 0 if self.rises else high < 0
        verdict = Verdict.REPRODUCED if certain else Verdict.NOT_REPRODUCED
        word = "rises" if self.rises else "falls"
        text = f"{self.policy.upper()}: delay {word} along x (change from first x to last)"
        return Finding(
            text, "> 0" if self.rises else "< 0", float(np.mean(each)), low, high, verdict
        )


@dataclass(frozen=True)
class LeastChange(Claim):
    """Along x one policy changes less than each of the others, in the sense of a rise or a gain."""

    policy: str
    others: tuple[str, ...]
    rises: bool
    """Whether a change is a rise of the delay, or a fall."""
    text: str

    @property
    def policies(self) -> tuple[str, ...]:
        """The policy and the others."""
        return (self.policy, *self.others)

    def judge(self, delays: Delays) -> Finding:
        """Its change less the smallest of the others' changes, in each world."""
        sign = 1 if self.rises else -1
        changes = {other: sign * delays.change(other) for other in self.others}
        least = min(changes, key=lambda other: float(np.mean(changes[other])))
        each = sign * delays.change(self.policy) - changes[least]
        low, high = interval(each)
        measured = float(np.mean(each))
        verdict = _below_zero(high)
        return Finding(
            f"{self.text} (less {least.upper()}'s, the next)", "< 0", measured, low, high, verdict
        )


@dataclass(frozen=True)
class Beats(Claim):
    """At the last x one policy is below another."""

    policy: str
    other: str
    text: str

    @property
    def policies(self) -> tuple[str, ...]:
        """The two policies."""
        return (self.policy, self.other)

    def judge(self, delays: Delays) -> Finding:
        """Relative distance there."""
        each = delays.mean_s[self.policy][-1] / delays.mean_s[self.other][-1] - 1
        low, high = interval(each)
        measured = float(np.mean(each))
        return Finding(self.text, "< 0", measured, low, high, _below_zero(high))


def judged(claim: Claim, delays: Delays) -> Iterator[Finding]:
    """Findings on a claim: without and with the price on remote shares, under each reading of DQN."""
    prices = (0.0, PRICE_S) if set(claim.policies) & set(PLANNERS) else (None,)
    readings = (DQN, LITERAL) if DQN in claim.policies else ("",)
    for price in prices:
        planners = {name: priced(name) for name in PLANNERS} if price else {}
        for reading in readings:
            measured = planners | ({DQN: reading} if reading else {})
            found = claim.judge(delays.standing_in(measured))
            yield replace(found, dqn=reading, remote_price_s=price)


def _verdict(measured: float, low: float, high: float, paper: float) -> Verdict:
    if low <= paper <= high or abs(measured - paper) <= _CLOSE * abs(measured):
        return Verdict.REPRODUCED
    if measured * paper > 0 and (low > 0 or high < 0):
        return Verdict.SAME_ORDER
    return Verdict.NOT_REPRODUCED


def _below_zero(high: float) -> Verdict:
    return Verdict.REPRODUCED if high < 0 else Verdict.NOT_REPRODUCED

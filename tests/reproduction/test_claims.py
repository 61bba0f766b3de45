"""Verdicts on claims, by hand."""

import numpy as np
import pytest

from isma.reproduction.claims import (
    Beats,
    Delays,
    Finding,
    LeastChange,
    Lowest,
    Reduction,
    Trend,
    Verdict,
    judged,
)

SPREAD = np.array([0.99, 1.0, 1.01])
"""Three worlds, close together: a difference of more than some per cent is certain."""


def delays(**means: list[float]) -> Delays:
    """The same mean in every world, but for a spread that all policies share."""
    tables = {name: np.outer(values, SPREAD) for name, values in means.items()}
    return Delays(tuple(f"x{i}" for i in range(len(next(iter(means.values()))))), tables)


def noisy(finding_of: dict[str, list[list[float]]]) -> Delays:
    tables = {name: np.array(table) for name, table in finding_of.items()}
    return Delays(("a", "b")[: len(next(iter(tables.values())))], tables)


def test_a_reduction_by_hand() -> None:
    """8 against 10 is 20 % below, 9 against 10 is 10 %: 15 % in the mean, best at the first x."""
    found = Reduction("slsm", 0.149).judge(delays(isma=[8.0, 9.0], slsm=[10.0, 10.0]))
    assert found.measured == pytest.approx(0.15)
    assert (found.best_x, found.best) == ("x0", pytest.approx(0.2))
    assert found.verdict is Verdict.REPRODUCED
    assert found.paper == "14.9%"


@pytest.mark.parametrize(
    ("paper", "verdict"),
    [
        (0.15, Verdict.REPRODUCED),
        (0.179, Verdict.REPRODUCED),  # Within 20 % of 15 %, which is 3 %.
        (0.181, Verdict.SAME_ORDER),
        (0.119, Verdict.SAME_ORDER),
        (-0.1, Verdict.NOT_REPRODUCED),
    ],
)
def test_how_close_is_reproduced(paper: float, verdict: Verdict) -> None:
    found = Reduction("dqn", paper).judge(delays(isma=[8.5], dqn=[10.0]))
    assert found.verdict is verdict


def test_a_wide_interval_holds_the_papers_number_or_nothing() -> None:
    """Per world 40 %, 0 % and −10 % below: the mean is 10 %, its interval −55 to 75 %."""
    wide = noisy({"isma": [[6.0, 10.0, 11.0]], "slsm": [[10.0, 10.0, 10.0]]})
    assert Reduction("slsm", 0.5).judge(wide).verdict is Verdict.REPRODUCED
    assert Reduction("slsm", 0.9).judge(wide).verdict is Verdict.NOT_REPRODUCED


def test_worse_instead_of_better() -> None:
    found = Reduction("slsm", 0.149).judge(delays(isma=[12.0], slsm=[10.0]))
    assert found.measured == pytest.approx(-0.2)
    assert found.verdict is Verdict.NOT_REPRODUCED


def test_lowest() -> None:
    claim = Lowest(("slsm", "dqn"))
    lower = claim.judge(delays(isma=[8.0, 8.0], slsm=[9.0, 9.0], dqn=[20.0, 20.0]))
    assert (lower.measured, lower.low, lower.verdict) == (1.0, 1.0, Verdict.REPRODUCED)
    once = claim.judge(delays(isma=[8.0, 8.0], slsm=[9.0, 7.0], dqn=[20.0, 20.0]))
    assert (once.measured, once.verdict) == (0.75, Verdict.NOT_REPRODUCED)
    unsure = Lowest(("slsm",)).judge(
        noisy({"isma": [[6.0, 10.0, 11.0]], "slsm": [[10.0, 10.0, 10.0]]})
    )
    assert (unsure.measured, unsure.low, unsure.high) == (1.0, 0.0, 1.0)
    assert unsure.verdict is Verdict.NOT_REPRODUCED


@pytest.mark.parametrize(
    ("ends", "rises", "verdict"),
    [
        ([10.0, 12.0], True, Verdict.REPRODUCED),
        ([10.0, 12.0], False, Verdict.NOT_REPRODUCED),
        ([10.0, 8.0], False, Verdict.REPRODUCED),
        ([10.0, 10.0], True, Verdict.NOT_REPRODUCED),
    ],
)
def test_trends(ends: list[float], rises: bool, verdict: Verdict) -> None:
    found = Trend("dlsm", rises).judge(delays(dlsm=ends))
    assert found.measured == pytest.approx(ends[1] / ends[0] - 1)
    assert found.verdict is verdict


def test_the_least_rise() -> None:
    """10 %, 20 % and 40 %: ours is 10 points below the next."""
    measured = delays(isma=[10.0, 11.0], slsm=[10.0, 12.0], dqn=[10.0, 14.0])
    found = LeastChange("isma", ("slsm", "dqn"), True, "rise").judge(measured)
    assert found.measured == pytest.approx(-0.1)
    assert found.verdict is Verdict.REPRODUCED
    assert "SLSM" in found.claim
    other = LeastChange("dqn", ("slsm", "isma"), True, "rise").judge(measured)
    assert other.verdict is Verdict.NOT_REPRODUCED


def test_the_least_gain() -> None:
    """Delays fall by 50 % and by 10 %: the second gains 40 points less."""
    found = LeastChange("dlsm", ("isma",), False, "gain").judge(
        delays(isma=[10.0, 5.0], dlsm=[10.0, 9.0])
    )
    assert found.measured == pytest.approx(-0.4)
    assert found.verdict is Verdict.REPRODUCED


def test_beating_at_the_last_x() -> None:
    found: Finding = Beats("dlsm", "slsm", "told").judge(delays(dlsm=[10, 9], slsm=[5, 10]))
    assert found.measured == pytest.approx(-0.1)
    assert found.verdict is Verdict.REPRODUCED


def test_a_claim_is_judged_with_and_without_the_price_under_both_readings_of_dqn() -> None:
    """10 and 8 s against 20 and 40: 50, 75, 60 and 80 % below."""
    tables = {"isma": 10.0, "isma:remote_price_s=30": 8.0, "dqn": 20.0, "dqn:literal": 40.0}
    others = dict.fromkeys(
        ("slsm", "dlsm", "slsm:remote_price_s=30", "dlsm:remote_price_s=30"), 99.0
    )
    measured = delays(**{name: [mean] for name, mean in (tables | others).items()})
    found = list(judged(Reduction("dqn", 0.402), measured))
    assert [(one.remote_price_s, one.dqn) for one in found] == [
        (0.0, "dqn"),
        (0.0, "dqn:literal"),
        (30.0, "dqn"),
        (30.0, "dqn:literal"),
    ]
    assert [one.measured for one in found] == pytest.approx([0.5, 0.75, 0.6, 0.8])


def test_a_claim_about_dqn_alone_has_no_price_and_one_about_planners_no_reading() -> None:
    two = {name: [2.0, 1.0] for name in ("isma", "slsm", "dlsm", "dqn", "dqn:literal")}
    measured = delays(**two, **{f"{name}:remote_price_s=30": [2.0, 1.0] for name in list(two)[:3]})
    of_dqn = list(judged(Trend("dqn", rises=False), measured))
    assert [(one.remote_price_s, one.dqn) for one in of_dqn] == [
        (None, "dqn"),
        (None, "dqn:literal"),
    ]
    of_isma = list(judged(Trend("isma", rises=False), measured))
    assert [(one.remote_price_s, one.dqn) for one in of_isma] == [(0.0, ""), (30.0, "")]

"""Figure 5: delay against the decision period."""

from isma.reproduction.claims import LeastChange, Trend
from isma.reproduction.figure import PaperFigure

FIGURE = PaperFigure(
    name="fig5",
    title="Delay against the decision period",
    field="servers.decision_period_s",
    values=("2 s", "4 s", "6 s", "8 s", "10 s", "12 s"),
    label="decision period (s)",
    fixed={"local_hz": "150 MHz", "clock_hz": "3.19 GHz", "speed_mps": "120 km/h"},
    claims=(
        *(Trend(policy, rises=True) for policy in ("isma", "slsm", "dlsm", "dqn")),
        LeastChange(
            "isma",
            ("slsm", "dlsm", "dqn"),
            rises=True,
            text="RLSM degrades least along x: its relative rise",
        ),
    ),
)
"""Section IV.C: delay rises for all; RLSM has the smallest degradation."""

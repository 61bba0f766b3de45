"""Figure 4: delay against the servers' CPU clock."""

from isma.reproduction.claims import LeastChange, Lowest, Reduction
from isma.reproduction.figure import PaperFigure

FIGURE = PaperFigure(
    name="fig4",
    title="Delay against the servers' CPU clock",
    field="servers.clock_hz",
    values=("3.19 GHz", "6.38 GHz", "9.57 GHz", "12.76 GHz", "15.95 GHz", "19.14 GHz"),
    label="servers' CPU clock (GHz)",
    fixed={"local_hz": "150 MHz", "decision_period_s": "2 s", "speed_mps": "120 km/h"},
    claims=(
        Lowest(("slsm", "dlsm", "dqn")),
        Reduction("slsm", 0.281),
        Reduction("dlsm", 0.559),
        Reduction("dqn", 0.581),
        LeastChange(
            "dlsm",
            ("isma", "slsm", "dqn"),
            rises=False,
            text="DLSM gains little from faster servers: its relative gain",
        ),
    ),
)
"""Section IV.B and the conclusion: 28.1 %, 55.9 % and 58.1 %; DLSM gains little."""

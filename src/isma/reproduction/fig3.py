"""Figure 3: delay against the users' own CPU clock."""

from isma.reproduction.claims import Lowest, Reduction, Trend
from isma.reproduction.figure import PaperFigure

FIGURE = PaperFigure(
    name="fig3",
    title="Delay against the users' CPU clock",
    field="users.local_hz",
    values=("100 MHz", "150 MHz", "200 MHz", "250 MHz", "300 MHz", "350 MHz"),
    label="users' CPU clock (MHz)",
    fixed={"clock_hz": "15.95 GHz", "decision_period_s": "2 s", "speed_mps": "120 km/h"},
    claims=(
        *(Trend(policy, rises=False) for policy in ("isma", "slsm", "dlsm", "dqn")),
        Lowest(("slsm", "dlsm", "dqn")),
        Reduction("slsm", 0.149),
        Reduction("dlsm", 0.237),
        Reduction("dqn", 0.402),
    ),
)
"""Section IV.B: delay falls for all; iSMA is 14.9 %, 23.7 % and 40.2 % below SLSM, DLSM and DQN."""

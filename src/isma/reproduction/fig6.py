"""Figure 6: delay against the users' speed."""

from isma.reproduction.claims import Beats, Trend
from isma.reproduction.figure import PaperFigure

FIGURE = PaperFigure(
    name="fig6",
    title="Delay against the users' speed",
    field="mobility.speed_mps",
    values=("20 km/h", "40 km/h", "60 km/h", "80 km/h", "100 km/h", "120 km/h"),
    label="speed (km/h)",
    fixed={"local_hz": "150 MHz", "clock_hz": "3.19 GHz", "decision_period_s": "10 s"},
    claims=(
        *(Trend(policy, rises=True) for policy in ("isma", "slsm", "dlsm", "dqn")),
        Beats("dlsm", "slsm", "at 120 km/h DLSM is below SLSM"),
    ),
)
"""Section IV.C: delay rises with speed; at 120 km/h DLSM outperforms SLSM."""

"""How many users of a trace are there, over time."""

import numpy as np

from isma.errors import ScenarioError
from isma.evaluation.report.figures import style
from isma.evaluation.report.figures.drawing import Drawing, blank
from isma.world import presence, traces
from isma.world.motion import Trace
from isma.world.scenario import Scenario


def draw(scenario: Scenario) -> Drawing:
    """Users that are there in a scenario along a trace, from its start to its end.

    Raises ScenarioError for users who do not follow a trace.
    """
    motion, duration_s = scenario.mobility, scenario.time.duration_s
    if not isinstance(motion, Trace):
        raise ScenarioError(
            f'mobility.kind must be "trace" to draw who is there when, got "{motion.kind}"'
        )
    frame = traces.read(motion.file)
    start_s = motion.start.timestamp() if motion.start else traces.values(frame, "time_s").min()
    window = float(start_s), duration_s, motion.max_gap_s
    by_trace = scenario.presence.by_trace
    stays = (traces.visiting if by_trace else traces.followed)(frame, *window)
    course = presence.course(stays, window[0], duration_s)
    unit, scale = ("min", 60.0) if duration_s <= 10_800 else ("h", 3600.0)
    canvas = blank(3.4)
    axes = canvas.add_subplot()
    ends = np.append(course.from_s, duration_s) / scale
    axes.stairs(course.users, ends, fill=True, color=style.BLUE, alpha=0.25, baseline=0)
    axes.stairs(course.users, ends, color=style.BLUE, linewidth=1.4, baseline=0)
    axes.axhline(course.mean, color=style.MUTED, linewidth=1.0, linestyle=style.DOTTED)
    first = traces.utc_text(window[0])
    last = traces.utc_text(window[0] + duration_s)
    axes.set_xlim(0, duration_s / scale)
    axes.set_ylim(0, max(1, int(course.users.max(initial=0))) * 1.08)
    axes.set_xlabel(f"time since the start ({unit})")
    axes.set_ylabel("users there")
    users, rows = len(np.unique(stays.user)), len(stays.user)
    note = f"{users:,} in all, {rows:,} stays; {course.mean:,.1f} on average (dotted); {first} to {last}"
    style.title(axes, "Users that are there", note)
    text = "Users from their first to their last fix; gaps above the longest are absences."
    return Drawing("presence", "Who is there when", text, canvas)

"""A second simulator, in plain Python, written from `docs/method/simulation.md` alone.

It shares no line with the simulator of the package: loops over users and servers, floats and
`math`. It is slow, in double precision throughout, and there to disagree.
"""

from reference.physics import channel_gain, nearest
from reference.run import local, simulate, user_mean_s
from reference.world import (
    Action,
    Broadcast,
    Draws,
    Failures,
    Latency,
    Migration,
    News,
    Radio,
    Result,
    Server,
    Streets,
    Task,
    Tick,
    User,
    View,
    World,
)

__all__ = [
    "Action",
    "Broadcast",
    "Draws",
    "Failures",
    "Latency",
    "Migration",
    "News",
    "Radio",
    "Result",
    "Server",
    "Streets",
    "Task",
    "Tick",
    "User",
    "View",
    "World",
    "channel_gain",
    "local",
    "nearest",
    "simulate",
    "user_mean_s",
]

"""Decisions of an agent for its users: where each is served, how much it offloads, its CPU share."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec


class TaskRequest(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The paper's task request T_i."""

    station: str
    """The agent beside the base station to which the user is attached."""
    data_bits: float
    """Data size c."""
    cycles: float
    """CPU cycles f^r."""
    local_hz: float
    """The user's own CPU clock f^L."""
    deadline_s: float
    """Longest delay allowed, δmax."""


class Decision(NamedTuple):
    """The paper's action a_i for one user."""

    server: str
    offload_ratio: float
    share_ppm: int
    reason: str


def nearest(
    me: str, users: Mapping[str, TaskRequest], known: Iterable[str], room_ppm: int
) -> dict[str, Decision]:
    """Serve each user at its base station's server; those who stay here share what is there evenly.

    A user whose station has no known server stays.
    """
    servers = {*known, me}
    target = {
        name: request.station if request.station in servers else me
        for name, request in users.items()
    }
    staying = sum(server == me for server in target.values())
    share_ppm = room_ppm // max(staying, 1)
    return {
        name: Decision(server, 1.0, share_ppm, "nearest server to the user's base station")
        for name, server in target.items()
    }

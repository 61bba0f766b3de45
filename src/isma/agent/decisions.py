"""Decisions of an agent for its users: where each is served, how much it offloads, its CPU share."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from isma.agent.ownership.vocabulary import WHOLE_PPM
from isma.agent.situation import AgentView, Proposal


class TaskRequest(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The paper's task request T_i."""

    station: str
    """The agent at the base station to which the user is attached."""
    data_bits: float
    """Data size c."""
    cycles: float
    """CPU cycles f^r."""
    local_hz: float
    """The user's own CPU clock f^L."""
    deadline_s: float
    """Longest delay allowed, δmax."""
    interval_s: float = 1.0
    """Time between two tasks."""
    gain: float = 1e-10
    """Channel gain g to the base station."""


class Decision(NamedTuple):
    """The paper's action a_i for one user."""

    server: str
    offload_ratio: float
    share_ppm: int
    reason: str
    policy: str = "nearest"
    digest: str = ""
    """Digest of the policy's code, options and weights; empty for the rule of this module."""


def nearest(
    me: str, users: Mapping[str, TaskRequest], known: Iterable[str], room_ppm: int
) -> dict[str, Decision]:
    """Serve each user at its base station's server; users that stay share the CPU evenly.

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


def proposed(proposal: Proposal, situation: AgentView, stale: Sequence[str]) -> dict[str, Decision]:
    """A policy's proposal as decisions; the reason names agents with stale news."""
    stale_text = f"; news of {', '.join(stale)} is stale" if stale else ""
    oldest_s = max(situation.age_s)
    reason = f"{proposal.policy} with news up to {oldest_s:.2f} s old{stale_text}"
    return {
        choice.context: Decision(
            situation.servers[choice.server],
            choice.offload_ratio,
            int(choice.cpu_share * WHOLE_PPM),
            reason,
            proposal.policy,
            proposal.digest,
        )
        for choice in proposal.choices
    }

"""An agent's view at a decision, as plain numbers: sent to the planner, and recorded."""

import msgspec


class UserView(msgspec.Struct, frozen=True):
    """One user that this agent serves; its task request T and where it is attached."""

    context: str
    station: int
    """Index of the server at its base station."""
    data_bits: float
    cycles: float
    local_hz: float
    deadline_s: float
    interval_s: float
    gain: float


class AgentView(msgspec.Struct, frozen=True):
    """This server's users, and the last news of all servers."""

    number: int
    servers: tuple[str, ...]
    """All agents, by name; indices below are places in it."""
    me: int
    server_hz: tuple[float, ...]
    remaining_hz: tuple[float, ...]
    """F of each, by its last broadcast; the present one of this server."""
    price_s: tuple[float, ...]
    age_s: tuple[float, ...]
    decision_period_s: float
    broadcast_period_s: float
    slot: int
    """Decision periods since this process has started, in time slots."""
    users: tuple[UserView, ...]


class ProposedAction(msgspec.Struct, frozen=True):
    """The action a for one user."""

    context: str
    server: int
    offload_ratio: float
    cpu_share: float


class Proposal(msgspec.Struct, frozen=True):
    """A policy's actions for a situation."""

    number: int
    policy: str
    digest: str
    """Digest of all that a policy's decisions depend on: code, options, trained weights."""
    choices: tuple[ProposedAction, ...] = ()
    price_s: float = 0.0
    error: str = ""


class Recorded(msgspec.Struct, frozen=True):
    """A line of `decisions.jsonl`: a view, and all proposals for it."""

    situation: AgentView
    proposals: tuple[Proposal, ...]

"""States, messages, events and effects of the ownership protocol (docs/agent/ownership.md).

A *context* is one user's service. Of each context an agent holds one state, and its journal holds the
last one. Shares of a server's CPU are whole millionths, so that their sum is exact.
"""

from enum import Enum
from typing import Annotated

import msgspec

WHOLE_PPM = 1_000_000
"""All of a server's CPU."""

Share = Annotated[int, msgspec.Meta(ge=0, le=WHOLE_PPM)]
"""A share in a message of another agent."""


class _Value(msgspec.Struct, frozen=True, tag=True, rename="camel", forbid_unknown_fields=True):
    """Frozen data that JSON can carry, with its class's name as `type`."""


# States. `epoch` is the highest epoch that the agent knows of, and never falls.


class Serving(_Value, frozen=True):
    """Owner: its copy of the service answers requests."""

    epoch: int
    share_ppm: int
    attempt: int = 0
    """Attempts to move the context in this epoch, all of them over."""


class Asking(_Value, frozen=True):
    """Owner that has asked a target for a share, and still serves."""

    epoch: int
    share_ppm: int
    attempt: int
    target: str
    wanted_ppm: int


class Frozen(_Value, frozen=True):
    """Owner that has stopped the service to hand it over."""

    epoch: int
    share_ppm: int
    attempt: int
    target: str
    digest: str = ""
    """Digest of the snapshot, once there is one."""


class Released(_Value, frozen=True):
    """Owner no more: the target of this attempt owns the new `epoch`, and may not know it yet."""

    epoch: int
    attempt: int
    target: str


class Moved(_Value, frozen=True):
    """Tombstone: `owner` has, or had later than this agent, the context in `epoch`."""

    epoch: int
    owner: str


class Reserved(_Value, frozen=True):
    """Target that keeps a share until its lease ends; `source` owns `epoch`, the offer is for the next."""

    epoch: int
    attempt: int
    source: str
    share_ppm: int


class Ready(_Value, frozen=True):
    """Target that has the snapshot durably, and keeps it until the source says how the attempt ended."""

    epoch: int
    attempt: int
    source: str
    share_ppm: int
    """0 once the lease has ended: the snapshot stays, the share does not."""
    digest: str


class Closed(_Value, frozen=True):
    """Context without an owner: the user has ended the service, which was in `epoch`."""

    epoch: int


State = Serving | Asking | Frozen | Released | Moved | Reserved | Ready | Closed


# Messages between agents. `epoch` is the source's, `attempt` numbers its offers in that epoch.


class Reserve(_Value, frozen=True):
    """Source to target: keep a share for this context."""

    epoch: int
    attempt: int
    share_ppm: Share


class Kept(_Value, frozen=True):
    """Target to source: a share is kept, for a while."""

    epoch: int
    attempt: int
    share_ppm: Share


class Refused(_Value, frozen=True):
    """Target to source: nothing is kept."""

    epoch: int
    attempt: int
    reason: str


class Snapshot(_Value, frozen=True):
    """Source to target: the frozen service; its bytes precede the message, identified by their digest."""

    epoch: int
    attempt: int
    digest: str


class Stored(_Value, frozen=True):
    """Target to source: the snapshot is on the disk and pinned."""

    epoch: int
    attempt: int
    digest: str


class Activate(_Value, frozen=True):
    """Source to target: released, the context is yours in epoch + 1."""

    epoch: int
    attempt: int


class Active(_Value, frozen=True):
    """Target to source: epoch + 1 is in the journal."""

    epoch: int
    attempt: int


class Abort(_Value, frozen=True):
    """Source to target: this attempt and all before it are over, and were not released."""

    epoch: int
    attempt: int


class Ask(_Value, frozen=True):
    """Target to source: how did the attempt end?"""

    epoch: int
    attempt: int


Message = Reserve | Kept | Refused | Snapshot | Stored | Activate | Active | Abort | Ask


# Events. No event carries a time: no rule reads a clock, so none can be misled by one.


class Received(_Value, frozen=True):
    """A message of another agent, whose name its certificate has proved."""

    sender: str
    message: Message


class Create(_Value, frozen=True):
    """A user's new context; its name contains this agent's, so no other agent creates it."""

    share_ppm: int


class Close(_Value, frozen=True):
    """The user ends the service."""


class Grant(_Value, frozen=True):
    """A decision: the context's share of this server from now on."""

    share_ppm: int


class Move(_Value, frozen=True):
    """A decision: hand the context over to another server."""

    target: str
    share_ppm: int


class Froze(_Value, frozen=True):
    """The service has stopped; its snapshot has that digest."""

    epoch: int
    attempt: int
    digest: str


class Staged(_Value, frozen=True):
    """The service has staged a snapshot on the disk."""

    epoch: int
    attempt: int
    digest: str


class Woken(_Value, frozen=True):
    """A timer that was set in this state has expired."""

    state: State
    turn: int


class Recovered(_Value, frozen=True):
    """The process has started, and the state is the journal's."""


Event = Received | Create | Close | Grant | Move | Froze | Staged | Woken | Recovered


class Delay(Enum):
    """Timers of an agent; the protocol's safety depends on none."""

    RESEND = "resend"
    LEASE = "lease"
    ASK = "ask"


class Outcome(Enum):
    """Outcomes of a move or a creation."""

    MOVED = "moved"
    """At the source: the target owns the context."""
    ARRIVED = "arrived"
    """At the target: it owns the context."""
    REFUSED = "refused"
    """Nothing was reserved; the source still serves."""
    GIVEN_UP = "given up"
    """The target did not answer in time; the source still serves."""
    ABORTED = "aborted"
    """At the target, or at a source that was restarted."""


# Effects, which are carried out after the new state is in the journal, in order. Messages may be lost;
# calls to the service are repeated until it answers, or the process ends.


class Send(_Value, frozen=True):
    """A message to another agent."""

    to: str
    message: Message


class Wake(_Value, frozen=True):
    """Set a timer that ends with `Woken`, by this agent's own clock."""

    delay: Delay
    turn: int


class Begin(_Value, frozen=True):
    """To the service: run with an empty state, in epoch 1."""

    epoch: int


class Freeze(_Value, frozen=True):
    """To the service: stop, and answer the digest of the snapshot."""

    epoch: int
    attempt: int


class Thaw(_Value, frozen=True):
    """To the service: resume; attempts up to this one are over."""

    epoch: int
    attempt: int


class Stage(_Value, frozen=True):
    """To the service: stage a snapshot on the disk."""

    epoch: int
    attempt: int
    digest: str


class Run(_Value, frozen=True):
    """To the service: run in this epoch, from the snapshot staged for it."""

    epoch: int


class Retire(_Value, frozen=True):
    """To the service: refuse calls below this epoch, and delete older copies."""

    epoch: int


class AttemptEnded(_Value, frozen=True):
    """For users, logs and counters: an attempt has ended."""

    outcome: Outcome
    peer: str
    reason: str = ""


Effect = Send | Wake | Begin | Freeze | Thaw | Stage | Run | Retire | AttemptEnded


class Step(msgspec.Struct, frozen=True):
    """The next state, to be journaled if it differs, and the effects that follow."""

    state: State | None
    effects: tuple[Effect, ...] = ()


class Room(msgspec.Struct, frozen=True):
    """Room that an agent has left for one context."""

    free_ppm: int
    """Share of this server that is neither granted nor reserved for another context."""
    admits: bool = True
    """Whether one more context may be taken on."""


# Routes of a user's request.


class Here(msgspec.Struct, frozen=True):
    """To the service, in this epoch; its fence may still refuse."""

    epoch: int


class Elsewhere(msgspec.Struct, frozen=True):
    """To another agent, which has the context or knows more."""

    owner: str
    epoch: int


class Later(msgspec.Struct, frozen=True):
    """To this agent again, later: the service is being handed over."""

    epoch: int


class Nowhere(msgspec.Struct, frozen=True):
    """Nowhere: the context is unknown to this agent, or its user has ended it."""

    ended: bool


Route = Here | Elsewhere | Later | Nowhere

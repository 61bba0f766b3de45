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
"""A share as another agent may say it."""


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
    """Owner that has asked a target for a share, and goes on serving."""

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
    """Of the snapshot, once there is one."""


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
    """Target that holds the snapshot durably and may not forget it before the source says how it ended."""

    epoch: int
    attempt: int
    source: str
    share_ppm: int
    """0 once the lease has ended: the snapshot stays, the share does not."""
    digest: str


class Closed(_Value, frozen=True):
    """Nobody's any more: the user has ended the service, which was in `epoch`."""

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
    """Source to target: the frozen service; its bytes go before it, and are known by their digest."""

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
    """The service has stopped and told the digest of its snapshot."""

    epoch: int
    attempt: int
    digest: str


class Staged(_Value, frozen=True):
    """The service has put a snapshot on the disk, beside what it runs."""

    epoch: int
    attempt: int
    digest: str


class Woken(_Value, frozen=True):
    """A time that was asked for in this state has passed."""

    state: State
    turn: int


class Recovered(_Value, frozen=True):
    """The process has started, and the state is the journal's."""


Event = Received | Create | Close | Grant | Move | Froze | Staged | Woken | Recovered


class Delay(Enum):
    """Times that an agent waits for; none has to be kept for the protocol to be safe."""

    RESEND = "resend"
    LEASE = "lease"
    ASK = "ask"


class Outcome(Enum):
    """Ways in which a move or a creation ends."""

    MOVED = "moved"
    """Seen by the source: the target owns the context."""
    ARRIVED = "arrived"
    """Seen by the target."""
    REFUSED = "refused"
    """Nothing was kept; the source goes on."""
    GIVEN_UP = "given up"
    """The target did not answer in time; the source goes on."""
    ABORTED = "aborted"
    """Seen by the target, or by a source that was started again."""


# Effects, which are carried out after the new state is in the journal, in order. What is sent may be
# lost; what is said to the service is repeated until it answers, or the process ends.


class Send(_Value, frozen=True):
    """A message to another agent."""

    to: str
    message: Message


class Wake(_Value, frozen=True):
    """Come back after a while with `Woken`, by this agent's own measure of time."""

    delay: Delay
    turn: int


class Begin(_Value, frozen=True):
    """To the service: run with nothing remembered, in epoch 1."""

    epoch: int


class Freeze(_Value, frozen=True):
    """To the service: stop, and tell the digest of what is there."""

    epoch: int
    attempt: int


class Thaw(_Value, frozen=True):
    """To the service: go on; attempts up to this one are over."""

    epoch: int
    attempt: int


class Stage(_Value, frozen=True):
    """To the service: put a snapshot on the disk."""

    epoch: int
    attempt: int
    digest: str


class Run(_Value, frozen=True):
    """To the service: run in this epoch, from what was staged for it."""

    epoch: int


class Retire(_Value, frozen=True):
    """To the service: heed nothing below this epoch, and forget what is older."""

    epoch: int


class Told(_Value, frozen=True):
    """For users, logs and counters: an attempt has ended."""

    outcome: Outcome
    peer: str
    reason: str = ""


Effect = Send | Wake | Begin | Freeze | Thaw | Stage | Run | Retire | Told


class Step(msgspec.Struct, frozen=True):
    """The state that follows, to be journaled if it differs, and what is to be done then."""

    state: State | None
    effects: tuple[Effect, ...] = ()


class Room(msgspec.Struct, frozen=True):
    """Room that an agent has left for one context."""

    free_ppm: int
    """Share of this server that no other context has or is kept."""
    admits: bool = True
    """Whether one more context may be taken on."""


# Where a user's request goes.


class Here(msgspec.Struct, frozen=True):
    """To the service, in this epoch; its fence has the last word."""

    epoch: int


class Elsewhere(msgspec.Struct, frozen=True):
    """To another agent, which has the context or knows more."""

    owner: str
    epoch: int


class Later(msgspec.Struct, frozen=True):
    """To this agent again: the service is being handed over."""

    epoch: int


class Nowhere(msgspec.Struct, frozen=True):
    """Nowhere: this agent has never heard of the context, or its user has ended it."""

    ended: bool


Route = Here | Elsewhere | Later | Nowhere

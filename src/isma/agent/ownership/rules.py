"""Every rule of the ownership protocol, one for each state and event (docs/agent/ownership.md).

A rule is a pure function. Its result is carried out in this order: the new state is written to the
journal, then the effects happen. An event without a rule changes nothing.

                      Reserve            Snapshot           Activate
    source  Serving ─→ Asking ─→ Frozen ─────────→ Released ─────────→ Moved
    target             Reserved ─────────→ Ready ───────────→ Serving
                      Kept               Stored             Active
"""

from collections.abc import Callable
from typing import Any

from isma.agent.ownership.effects import (
    end_attempt,
    run,
    say_activate,
    say_frozen,
    say_reserve,
    stored,
)
from isma.agent.ownership.vocabulary import (
    Abort,
    Activate,
    Active,
    Ask,
    Asking,
    AttemptEnded,
    Begin,
    Close,
    Closed,
    Create,
    Delay,
    Elsewhere,
    Event,
    Froze,
    Frozen,
    Grant,
    Here,
    Kept,
    Later,
    Move,
    Moved,
    Nowhere,
    Outcome,
    Ready,
    Received,
    Recovered,
    Refused,
    Released,
    Reserve,
    Reserved,
    Retire,
    Room,
    Route,
    Run,
    Send,
    Serving,
    Snapshot,
    Stage,
    Staged,
    State,
    Step,
    Stored,
    Thaw,
    Wake,
    Woken,
)

MOST_TURNS = 5
"""Times that a source resends a message before it gives up an attempt that it has not released."""

_FULL = "no room for one more context"

Rule = Callable[[Any, Any, str, Room], Step]
"""(state, event or message, its sender, room) → step."""


def step(state: State | None, event: Event, room: Room) -> Step:
    """Consequences of an event: the table's rule, or nothing."""
    trigger, sender = event, ""
    if type(event) is Received:
        trigger, sender = event.message, event.sender
    elif type(event) is Woken and event.state != state:
        return Step(state)
    rule = RULES.get((type(state), type(trigger)))
    return Step(state) if rule is None else rule(state, trigger, sender, room)


def route(state: State | None) -> Route:
    """Where a user's request goes."""
    match state:
        case Serving() | Asking():
            return Here(state.epoch)
        case Frozen():
            return Later(state.epoch)
        case Released():
            return Elsewhere(state.target, state.epoch)
        case Moved():
            return Elsewhere(state.owner, state.epoch)
        case Reserved() | Ready():
            return Elsewhere(state.source, state.epoch)
        case Closed() | None:
            return Nowhere(ended=state is not None)


# An owner at rest.


def create(state: None, event: Create, _: str, room: Room) -> Step:
    """Serve a new context in epoch 1."""
    if not room.admits:
        return Step(state, (AttemptEnded(Outcome.REFUSED, "", _FULL),))
    return Step(Serving(1, min(event.share_ppm, room.free_ppm)), (Begin(1),))


def grant(state: Serving, event: Grant, _: str, room: Room) -> Step:
    """Grant the requested share, at most the free one."""
    return Step(Serving(state.epoch, min(event.share_ppm, room.free_ppm), state.attempt))


def close(state: Serving, event: Close, _: str, room: Room) -> Step:
    """End the service for good."""
    return Step(Closed(state.epoch), (Retire(state.epoch + 1),))


def reassure(state: Serving, event: Recovered, _: str, room: Room) -> Step:
    """Repeat the calls to the service, which may have missed them in a crash."""
    return Step(state, (run(state.epoch), Thaw(state.epoch, state.attempt)))


# The source.


def ask_target(state: Serving, event: Move, _: str, room: Room) -> Step:
    """1. Ask the target to keep a share, under a new number, and go on serving."""
    asking = Asking(state.epoch, state.share_ppm, state.attempt + 1, event.target, event.share_ppm)
    return Step(asking, say_reserve(asking, 0))


def ask_target_again(state: Asking, event: Woken, _: str, room: Room) -> Step:
    """Repeat the question, or go on without an answer."""
    if event.turn >= MOST_TURNS:
        return end_attempt(state, Outcome.GIVEN_UP, "the target did not answer")
    return Step(state, say_reserve(state, event.turn))


def refused(state: Asking | Frozen, message: Refused, sender: str, room: Room) -> Step:
    """Go on serving."""
    if not _is_answer(state, message, sender):
        return Step(state)
    return end_attempt(state, Outcome.REFUSED, message.reason)


def freeze(state: Asking, message: Kept, sender: str, room: Room) -> Step:
    """2. Stop the service; no host serves from here to 5."""
    if not _is_answer(state, message, sender):
        return Step(state)
    frozen = Frozen(state.epoch, state.share_ppm, state.attempt, state.target)
    return Step(frozen, say_frozen(frozen, 0))


def hand_over(state: Frozen, event: Froze, _: str, room: Room) -> Step:
    """3. Send the snapshot."""
    if (event.epoch, event.attempt) != (state.epoch, state.attempt) or state.digest:
        return Step(state)
    frozen = Frozen(state.epoch, state.share_ppm, state.attempt, state.target, event.digest)
    return Step(frozen, say_frozen(frozen, 0))


def hand_over_again(state: Frozen, event: Woken, _: str, room: Room) -> Step:
    """Repeat it, or take the service back: it was not released."""
    if event.turn >= MOST_TURNS:
        return end_attempt(state, Outcome.GIVEN_UP, "the snapshot was not stored in time")
    return Step(state, say_frozen(state, event.turn))


def release(state: Frozen, message: Stored, sender: str, room: Room) -> Step:
    """5. Give the context up, once and for good, to the one that has this very snapshot."""
    if not _is_answer(state, message, sender) or message.digest != state.digest:
        return Step(state)
    released = Released(state.epoch + 1, state.attempt, state.target)
    ending = AttemptEnded(Outcome.MOVED, state.target)
    return Step(released, (*say_activate(released, 0), Retire(released.epoch), ending))


def say_released(state: Released, event: Woken | Recovered, _: str, room: Room) -> Step:
    """Notify the new owner, until it answers."""
    if isinstance(event, Woken):
        return Step(state, say_activate(state, event.turn))
    return Step(state, (*say_activate(state, 0), Retire(state.epoch)))


def bury(state: Released, message: Active, sender: str, room: Room) -> Step:
    """7. Keep a tombstone that names the new owner."""
    if (message.epoch + 1, message.attempt, sender) != (state.epoch, state.attempt, state.target):
        return Step(state)
    return Step(Moved(state.epoch, state.target))


def take_back(state: Asking | Frozen, event: Recovered, _: str, room: Room) -> Step:
    """After a crash before 5, go on serving; the attempt's number is spent."""
    over = end_attempt(state, Outcome.ABORTED, "started again")
    return Step(over.state, (run(state.epoch), *over.effects))


def tell_ending(state: State, message: Ask, sender: str, room: Room) -> Step:
    """Say how an attempt ended; while that is open, nothing."""
    match state:
        case Released() if _is_of(state.epoch - 1, state.attempt, message):
            ending = Activate(message.epoch, message.attempt) if sender == state.target else None
        case Asking() | Frozen() if _is_of(state.epoch, state.attempt, message):
            ending = None if sender == state.target else Abort(message.epoch, message.attempt)
        case _ if (state.epoch, getattr(state, "attempt", 0)) < (message.epoch, message.attempt):
            ending = None  # This agent has not begun that attempt.
        case _:
            ending = Abort(message.epoch, message.attempt)
    return Step(state, () if ending is None else (Send(sender, ending),))


# The target.


def keep(state: State | None, message: Reserve, sender: str, room: Room) -> Step:
    """1. Reserve a share, at most the free one, for a context that the sender owns, if the offer is new.

    None may be left: the host scales all requests in its next decision.
    """
    epoch, attempt = message.epoch, message.attempt
    if not _is_news(state, message, sender):
        return Step(state)
    if isinstance(state, Reserved) and _is_of(state.epoch, state.attempt, message):
        return Step(state, (Send(sender, Kept(epoch, attempt, state.share_ppm)),))
    if not room.admits:
        return Step(state, (Send(sender, Refused(epoch, attempt, _FULL)),))
    share_ppm = min(message.share_ppm, room.free_ppm)
    reserved = Reserved(epoch, attempt, sender, share_ppm)
    kept = Send(sender, Kept(epoch, attempt, share_ppm))
    return Step(reserved, (kept, Wake(Delay.LEASE, 0)))


def keep_on(state: Reserved, event: Recovered, _: str, room: Room) -> Step:
    """Renew the lease after a crash."""
    return Step(state, (Wake(Delay.LEASE, 0),))


def let_go(state: Reserved, event: Woken, _: str, room: Room) -> Step:
    """Forget a reservation whose lease has ended."""
    gone = AttemptEnded(Outcome.ABORTED, state.source, "the lease has ended")
    return Step(Moved(state.epoch, state.source), (gone,))


def not_kept(state: Moved, message: Snapshot, sender: str, room: Room) -> Step:
    """Say that a reservation is gone."""
    reason = "the reservation is gone"
    return Step(state, (Send(sender, Refused(message.epoch, message.attempt, reason)),))


def stage(state: Reserved, message: Snapshot, sender: str, room: Room) -> Step:
    """4. Have the snapshot stored."""
    if not _is_of(state.epoch, state.attempt, message) or sender != state.source:
        return Step(state)
    return Step(state, (Stage(state.epoch, state.attempt, message.digest),))


def pin(state: Reserved, event: Staged, _: str, room: Room) -> Step:
    """4. Promise not to forget the snapshot before the source says how it ended."""
    if not _is_of(state.epoch, state.attempt, event):
        return Step(state)
    ready = Ready(state.epoch, state.attempt, state.source, state.share_ppm, event.digest)
    return Step(ready, (stored(ready), Wake(Delay.LEASE, 0)))


def say_stored(state: Ready, message: Snapshot, sender: str, room: Room) -> Step:
    """Repeat the promise: it may have been lost."""
    if not _is_of(state.epoch, state.attempt, message) or message.digest != state.digest:
        return Step(state)
    return Step(state, (stored(state),))


def ask_source(state: Ready, event: Woken | Recovered, _: str, room: Room) -> Step:
    """Ask how it ended; a share is kept no longer than its lease, the snapshot as long as it takes."""
    ask = Send(state.source, Ask(state.epoch, state.attempt))
    if isinstance(event, Recovered):
        return Step(state, (ask, Wake(Delay.LEASE, 0)))
    ready = Ready(state.epoch, state.attempt, state.source, 0, state.digest)
    return Step(ready, (ask, Wake(Delay.ASK, event.turn + 1)))


def activate(state: Ready, message: Activate, sender: str, room: Room) -> Step:
    """6. Own the context in the next epoch."""
    if not _is_of(state.epoch, state.attempt, message) or sender != state.source:
        return Step(state)
    active = Send(sender, Active(message.epoch, message.attempt))
    ending = AttemptEnded(Outcome.ARRIVED, sender)
    return Step(Serving(state.epoch + 1, state.share_ppm), (Run(state.epoch + 1), active, ending))


def say_active(state: State, message: Activate, sender: str, room: Room) -> Step:
    """Repeat the answer for an epoch that has begun here."""
    if state.epoch <= message.epoch:
        return Step(state)
    return Step(state, (Send(sender, Active(message.epoch, message.attempt)),))


def forget(state: Reserved | Ready, message: Abort, sender: str, room: Room) -> Step:
    """Forget an attempt that the source has ended."""
    is_ours = sender == state.source and message.epoch == state.epoch
    if not is_ours or message.attempt < state.attempt:
        return Step(state)
    ending = AttemptEnded(Outcome.ABORTED, sender, "the source has taken it back")
    return Step(Moved(state.epoch, state.source), (ending,))


# Helpers of several rules.


def _is_of(epoch: int, attempt: int, message: Any) -> bool:
    return (message.epoch, message.attempt) == (epoch, attempt)


def _is_answer(state: Asking | Frozen, message: Any, sender: str) -> bool:
    return _is_of(state.epoch, state.attempt, message) and sender == state.target


def _is_news(state: State | None, message: Reserve, sender: str) -> bool:
    """Whether an offer is later than all that is known; in a known epoch only its owner may offer."""
    match state:
        case None:
            return True
        case Moved():
            known = (state.epoch, 0, state.owner)
        case Released():
            known = (state.epoch, 0, state.target)
        case Reserved():
            known = (state.epoch, state.attempt, state.source)
        case Ready():
            known = (state.epoch, state.attempt + 1, state.source)
        case _:  # This agent is the owner, or there is none.
            return False
    epoch, attempt, owner = known
    is_in_order = message.epoch == epoch and message.attempt >= attempt and sender == owner
    return message.epoch > epoch or is_in_order


_STATES = (Serving, Asking, Frozen, Released, Moved, Reserved, Ready, Closed)

RULES: dict[tuple[type, type], Rule] = {
    (type(None), Create): create,
    (Serving, Grant): grant,
    (Serving, Close): close,
    (Serving, Recovered): reassure,
    (Serving, Move): ask_target,
    (Asking, Woken): ask_target_again,
    (Asking, Refused): refused,
    (Asking, Kept): freeze,
    (Asking, Recovered): take_back,
    (Frozen, Froze): hand_over,
    (Frozen, Woken): hand_over_again,
    (Frozen, Refused): refused,
    (Frozen, Stored): release,
    (Frozen, Recovered): take_back,
    (Released, Woken): say_released,
    (Released, Recovered): say_released,
    (Released, Active): bury,
    (type(None), Reserve): keep,
    (Moved, Reserve): keep,
    (Released, Reserve): keep,
    (Reserved, Reserve): keep,
    (Ready, Reserve): keep,
    (Reserved, Woken): let_go,
    (Reserved, Recovered): keep_on,
    (Moved, Snapshot): not_kept,
    (Reserved, Snapshot): stage,
    (Reserved, Staged): pin,
    (Reserved, Abort): forget,
    (Ready, Snapshot): say_stored,
    (Ready, Woken): ask_source,
    (Ready, Recovered): ask_source,
    (Ready, Activate): activate,
    (Ready, Abort): forget,
    **{(state, Activate): say_active for state in _STATES if state is not Ready},
    **{(state, Ask): tell_ending for state in _STATES},
}
"""All rules; a pair that is not here changes nothing."""

"""Effects that several rules of the ownership protocol share."""

from isma.agent.ownership.vocabulary import (
    Abort,
    Activate,
    Asking,
    AttemptEnded,
    Begin,
    Delay,
    Freeze,
    Frozen,
    Outcome,
    Ready,
    Released,
    Reserve,
    Run,
    Send,
    Serving,
    Snapshot,
    Step,
    Stored,
    Thaw,
    Wake,
)


def end_attempt(state: Asking | Frozen, outcome: Outcome, reason: str) -> Step:
    """Continue to serve after an attempt that has ended, and notify the target and the user's side."""
    serving = Serving(state.epoch, state.share_ppm, state.attempt)
    thaw = Thaw(state.epoch, state.attempt)
    abort = Send(state.target, Abort(state.epoch, state.attempt))
    return Step(serving, (thaw, abort, AttemptEnded(outcome, state.target, reason)))


def run(epoch: int) -> Begin | Run:
    """Begin of a new context's service, or its going on."""
    return Begin(1) if epoch == 1 else Run(epoch)


def say_reserve(state: Asking, turn: int) -> tuple[Send, Wake]:
    """Offer of a context to the target, and the time of saying it again."""
    reserve = Reserve(state.epoch, state.attempt, state.wanted_ppm)
    return Send(state.target, reserve), Wake(Delay.RESEND, turn + 1)


def say_frozen(state: Frozen, turn: int) -> tuple[Send | Freeze, Wake]:
    """Snapshot for the target, or before there is one the freezing; and the time of saying it again."""
    if state.digest:
        said = Send(state.target, Snapshot(state.epoch, state.attempt, state.digest))
    else:
        said = Freeze(state.epoch, state.attempt)
    return said, Wake(Delay.RESEND, turn + 1)


def say_activate(state: Released, turn: int) -> tuple[Send, Wake]:
    """Release to the target, and the time of saying it again."""
    activate = Activate(state.epoch - 1, state.attempt)
    return Send(state.target, activate), Wake(Delay.RESEND, turn + 1)


def stored(state: Ready) -> Send:
    """Word to the source that its snapshot is kept."""
    return Send(state.source, Stored(state.epoch, state.attempt, state.digest))

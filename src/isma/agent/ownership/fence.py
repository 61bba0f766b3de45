"""The fence at a service: one host's copy of a context, and the calls that it accepts.

Calls of the agent may come late, twice or in another order, and a request may have been let through by
an agent that has lost the context since. So the copy itself decides, from the service's own disk: every
change here is to be durable before it is acknowledged.
"""

from enum import Enum
from typing import Generic, TypeVar

import msgspec

Body = TypeVar("Body")


class Phase(Enum):
    """Whether a copy answers requests."""

    ABSENT = "absent"
    RUNNING = "running"
    FROZEN = "frozen"


class Parked(msgspec.Struct, Generic[Body], frozen=True):
    """A staged snapshot: offered by the owner of `epoch`, to run in the next one."""

    epoch: int
    attempt: int
    body: Body


class Copy(msgspec.Struct, Generic[Body], frozen=True):
    """State of a context at a host's service."""

    epoch: int = 0
    """The only epoch whose calls are accepted; it never falls."""
    phase: Phase = Phase.ABSENT
    frozen: int = 0
    """The attempt for which it is frozen."""
    over: tuple[int, int] = (0, 0)
    """Epoch and attempt up to which all attempts are over: they freeze nothing any more."""
    body: Body | None = None
    parked: Parked[Body] | None = None


def heeds(copy: Copy[Body], epoch: int) -> bool:
    """Whether a request of this epoch may be carried out."""
    return copy.phase is Phase.RUNNING and copy.epoch == epoch


def begin(copy: Copy[Body], epoch: int, body: Body) -> Copy[Body]:
    """Run a new service, if there has never been one."""
    if copy.epoch:
        return copy
    return msgspec.structs.replace(copy, epoch=epoch, phase=Phase.RUNNING, body=body)


def freeze(copy: Copy[Body], epoch: int, attempt: int) -> Copy[Body]:
    """Freeze for an attempt, unless that is over."""
    is_late = (epoch, attempt) <= copy.over or attempt <= copy.frozen
    if copy.phase is Phase.ABSENT or epoch != copy.epoch or is_late:
        return copy
    return msgspec.structs.replace(copy, phase=Phase.FROZEN, frozen=attempt)


def is_frozen(copy: Copy[Body], epoch: int, attempt: int) -> bool:
    """Whether the copy is frozen for this attempt, so that its body is the snapshot."""
    return copy.phase is Phase.FROZEN and (copy.epoch, copy.frozen) == (epoch, attempt)


def thaw(copy: Copy[Body], epoch: int, attempt: int) -> Copy[Body]:
    """Thaw, and never again freeze for attempts up to this one.

    The call may come before the call to run in that epoch.
    """
    if (epoch, attempt) <= copy.over:
        return copy
    is_ours = epoch == copy.epoch and copy.phase is Phase.FROZEN and copy.frozen <= attempt
    phase = Phase.RUNNING if is_ours else copy.phase
    return msgspec.structs.replace(copy, phase=phase, over=(epoch, attempt))


def park(copy: Copy[Body], epoch: int, attempt: int, body: Body) -> Copy[Body]:
    """Stage a snapshot, the latest attempt's.

    Only a later one, `run` or `retire` removes it: another call could come late, after the same attempt
    was offered again and its snapshot promised.
    """
    is_late = copy.parked is not None and (copy.parked.epoch, copy.parked.attempt) >= (
        epoch,
        attempt,
    )
    if epoch < copy.epoch or is_late:
        return copy
    return msgspec.structs.replace(copy, parked=Parked(epoch, attempt, body))


def is_parked(copy: Copy[Body], epoch: int, attempt: int) -> bool:
    """Whether this attempt's snapshot is staged."""
    held = copy.parked
    return held is not None and (held.epoch, held.attempt) == (epoch, attempt)


def run(copy: Copy[Body], epoch: int) -> Copy[Body]:
    """Run from the snapshot that was staged for this epoch."""
    held = copy.parked
    if held is None or held.epoch + 1 != epoch or epoch <= copy.epoch:
        return copy
    return Copy(epoch, Phase.RUNNING, over=copy.over, body=held.body)


def retire(copy: Copy[Body], epoch: int) -> Copy[Body]:
    """Refuse calls below this epoch, and delete the copy that ran in one."""
    if epoch <= copy.epoch:
        return copy
    kept = copy.parked if copy.parked is not None and copy.parked.epoch >= epoch else None
    return Copy(epoch, Phase.ABSENT, over=copy.over, parked=kept)

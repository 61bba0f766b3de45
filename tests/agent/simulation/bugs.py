"""Planted bugs: each breaks one thing on which the argument of docs/agent/ownership.md rests.

They are put in from outside, for the time of a run; the product has no switch for any of them. The
checker must find all.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import msgspec

from agent.simulation import world as worlds
from agent.simulation.run import play
from agent.simulation.world import Body, Process, User, World
from isma.agent.ownership import fence, ledger, rules
from isma.agent.ownership import vocabulary as v

Patch = Callable[[], Any]


@dataclass(frozen=True)
class Bug:
    """Something left out or done wrong."""

    what: str
    seed: int
    """A run that shows it."""
    world: type[World] = World
    patch: Patch | None = None

    @contextmanager
    def planted(self) -> Iterator[type[World]]:
        """The world to play in while the bug is there."""
        if self.patch is None:
            yield self.world
        else:
            with self.patch():
                yield self.world

    def shown(self, seed: int) -> list[str]:
        """What goes wrong in the run of a seed with the bug."""
        with self.planted() as world:
            return play(seed, world)


def _rules(**changed: rules.Rule) -> Patch:
    """Other rules under the names of those that they replace."""
    table = {
        key: changed[rule.__name__] for key, rule in rules.RULES.items() if rule.__name__ in changed
    }
    return lambda: mock.patch.dict(rules.RULES, table)


def _fence(name: str, function: Callable[..., Any]) -> Patch:
    return lambda: mock.patch.object(fence, name, function)


# The journal.


def _unsynced(*kinds: type, least_epoch: int = 0) -> type[World]:
    class Unsynced(World):
        def _persist(self, process: Process, context: str, state: v.State) -> None:
            kept = self.__dict__.setdefault("kept", {})
            if isinstance(state, kinds) and state.epoch >= least_epoch:
                kept[process.name, context] = state  # Written, and on no disk yet.
                return
            for name, other in [key for key in kept if key[0] == process.name]:
                process.journal[other] = kept.pop((name, other))
            process.journal[context] = state

        def _die(self, process: Process) -> None:
            kept = self.__dict__.setdefault("kept", {})
            for key in [key for key in kept if key[0] == process.name]:
                del kept[key]
            super()._die(process)

    return Unsynced


class _EffectsFirst(World):
    def _carry_out(self, process: Process, context: str, step: v.Step, last: int) -> None:
        done = len(step.effects) if last < 0 else last
        for effect in step.effects[:done]:
            if not isinstance(effect, v.Wake):
                self._do(process, context, effect)
        if last < 0 or last > len(step.effects):
            self._journal(process, context, step)
            for effect in step.effects:
                if isinstance(effect, v.Wake):
                    self._do(process, context, effect)


class _Forgetful(World):
    def _journal(self, process: Process, context: str, step: v.Step) -> None:
        super()._journal(process, context, step)
        if isinstance(step.state, v.Moved):
            process.journal.pop(context, None)
            process.ledger.contexts.pop(context, None)


# The service.


class _AcknowledgesEarly(World):
    def _serve(self, process: Process, user: User, epoch: int, request: int) -> None:
        before = process.copies.get(user.context)
        super()._serve(process, user, epoch, request)
        if before is not None and process.copies[user.context] is not before:
            self.__dict__["early"] = (process.name, user.context, before, self.now_s)

    def _die(self, process: Process) -> None:
        name, context, before, time_s = self.__dict__.get("early", ("", "", None, 0))
        if name == process.name and self.now_s - time_s < 0.2:
            now = process.copies[context]
            if now.epoch == before.epoch:
                process.copies[context] = msgspec.structs.replace(now, body=before.body)
        super()._die(process)


class _Undigested(World):
    def _damaged(self, name: str, context: str, event: v.Received) -> None:
        digest = getattr(event.message, "digest", "")
        self.__dict__.setdefault("spoilt", set()).add((name, digest))
        self._event(name, context, event)

    def _bytes_of(self, process: Process, name: str) -> Body:
        body = super()._bytes_of(process, name)
        return body[:-1] if (process.name, name) in self.__dict__.get("spoilt", ()) else body


def _freeze_any(copy: fence.Copy[Body], epoch: int, attempt: int) -> fence.Copy[Body]:
    if copy.phase is fence.Phase.ABSENT or epoch != copy.epoch:
        return copy
    return msgspec.structs.replace(copy, phase=fence.Phase.FROZEN, frozen=attempt)


def _thaw_any(copy: fence.Copy[Body], epoch: int, attempt: int) -> fence.Copy[Body]:
    if epoch != copy.epoch or copy.phase is not fence.Phase.FROZEN:
        return copy
    return msgspec.structs.replace(copy, phase=fence.Phase.RUNNING)


def _run_bare(copy: fence.Copy[Body], epoch: int) -> fence.Copy[Body]:
    ran = _RUN(copy, epoch)
    if ran is copy:
        return copy
    return msgspec.structs.replace(ran, body=tuple((-key, n) for key, n in ran.body or ()))


def _park_first(copy: fence.Copy[Body], epoch: int, attempt: int, body: Body) -> fence.Copy[Body]:
    held = copy.parked
    if held is not None and held.epoch == epoch:
        return msgspec.structs.replace(copy, parked=fence.Parked(epoch, attempt, held.body))
    return _PARK(copy, epoch, attempt, body)


_RUN, _PARK = fence.run, fence.park


# The rules.


def _same_epoch(state: v.Ready, message: v.Activate, sender: str, room: v.Room) -> v.Step:
    step = rules.activate(state, message, sender, room)
    if not isinstance(step.state, v.Serving):
        return step
    return v.Step(v.Serving(state.epoch, state.share_ppm), step.effects)


def _release_unstored(state: v.Frozen, event: v.Froze, sender: str, room: v.Room) -> v.Step:
    step = rules.hand_over(state, event, sender, room)
    if not isinstance(step.state, v.Frozen) or not step.state.digest:
        return step
    stored = v.Stored(state.epoch, state.attempt, event.digest)
    released = rules.release(step.state, stored, state.target, room)
    return v.Step(released.state, (*step.effects[:1], *released.effects))


def _own_at_once(state: v.Reserved, event: v.Staged, sender: str, room: v.Room) -> v.Step:
    step = rules.pin(state, event, sender, room)
    if not isinstance(step.state, v.Ready):
        return step
    serving = v.Serving(state.epoch + 1, state.share_ppm)
    return v.Step(serving, (step.effects[0], v.Run(state.epoch + 1)))


def _unpinned(state: v.Ready, event: v.Woken, sender: str, room: v.Room) -> v.Step:
    if isinstance(event, v.Recovered):
        return rules.ask_source(state, event, sender, room)
    return v.Step(v.Moved(state.epoch, state.source))


def _any_promise(state: v.Frozen, message: v.Stored, sender: str, room: v.Room) -> v.Step:
    taken = v.Stored(state.epoch, state.attempt, state.digest)
    return rules.release(state, taken, state.target, room)


def _undecided_is_over(state: v.State, message: v.Ask, sender: str, room: v.Room) -> v.Step:
    if isinstance(state, v.Frozen):
        return v.Step(state, (v.Send(sender, v.Abort(message.epoch, message.attempt)),))
    return rules.tell_ending(state, message, sender, room)


def _taken_back(state: v.Released, event: v.Woken, sender: str, room: v.Room) -> v.Step:
    if isinstance(event, v.Woken) and event.turn > 2:
        epoch = state.epoch - 1
        return v.Step(v.Serving(epoch, 0, state.attempt), (v.Thaw(epoch, state.attempt),))
    return rules.say_released(state, event, sender, room)


def _told_once(state: v.Released, event: v.Woken, sender: str, room: v.Room) -> v.Step:
    return v.Step(state)


def _any_abort(state: v.Ready, message: v.Abort, sender: str, room: v.Room) -> v.Step:
    return v.Step(v.Moved(state.epoch, state.source))


def _any_activation(state: v.Ready, message: v.Activate, sender: str, room: v.Room) -> v.Step:
    taken = v.Activate(state.epoch, state.attempt)
    return rules.activate(state, taken, state.source, room)


def _any_offer(state: v.State, message: v.Reserve, sender: str, room: v.Room) -> v.Step:
    reserved = v.Reserved(message.epoch, message.attempt, sender, 0)
    kept = v.Send(sender, v.Kept(message.epoch, message.attempt, 0))
    return v.Step(reserved, (kept, v.Wake(v.Delay.LEASE, 0)))


def _unscaled(state: v.Serving, event: v.Grant, sender: str, room: v.Room) -> v.Step:
    return v.Step(v.Serving(state.epoch, event.share_ppm, state.attempt))


def _blind_room() -> Any:
    kept = v.Reserved | v.Ready
    blind = lambda state: 0 if isinstance(state, kept) else getattr(state, "share_ppm", 0)  # noqa: E731
    return mock.patch.object(ledger, "share_ppm", blind)


def _twice() -> Any:
    def fold(body: Body, request: int) -> tuple[Body, int]:
        return (*body, (request, len(body) + 1)), len(body) + 1

    return mock.patch.object(worlds, "fold", fold)


BUGS = (
    Bug("a release is not on the disk before it is told", 19, _unsynced(v.Released)),
    Bug("an arrival is not on the disk before it is told", 5, _unsynced(v.Serving, least_epoch=2)),
    Bug("a promise is not on the disk before it is given", 83, _unsynced(v.Ready)),
    Bug("effects come before the journal", 83, _EffectsFirst),
    Bug("a tombstone is forgotten at once", 3, _Forgetful),
    Bug("the service acknowledges before its disk has it", 2, _AcknowledgesEarly),
    Bug("the digest of a snapshot is not checked", 25, _Undigested),
    Bug(
        "a frozen service answers",
        58,
        patch=_fence(
            "heeds",
            lambda copy, epoch: copy.phase is not fence.Phase.ABSENT and copy.epoch == epoch,
        ),
    ),
    Bug("a late freeze is heeded", 41, patch=_fence("freeze", _freeze_any)),
    Bug("a late thaw is heeded", 139, patch=_fence("thaw", _thaw_any)),
    Bug("outcomes do not travel with the service", 0, patch=_fence("run", _run_bare)),
    Bug("an old attempt's snapshot is run", 132, patch=_fence("park", _park_first)),
    Bug("a duplicate is done again", 0, patch=_twice),
    Bug("an epoch is used again", 0, patch=_rules(activate=_same_epoch)),
    Bug(
        "a release does not wait for the snapshot to be stored",
        3,
        patch=_rules(hand_over=_release_unstored),
    ),
    Bug("a target owns before the source has released", 0, patch=_rules(pin=_own_at_once)),
    Bug("a promise ends with its lease", 21, patch=_rules(ask_source=_unpinned)),
    Bug("any promise is taken for this attempt's", 524, patch=_rules(release=_any_promise)),
    Bug("an open attempt is said to be over", 40, patch=_rules(tell_ending=_undecided_is_over)),
    Bug("a release is taken back", 35, patch=_rules(say_released=_taken_back)),
    Bug("a release is told once", 23, patch=_rules(say_released=_told_once)),
    Bug("an abort of another attempt is heeded", 4222, patch=_rules(forget=_any_abort)),
    Bug("an activation of another attempt is heeded", 2117, patch=_rules(activate=_any_activation)),
    Bug("an old offer is news", 67, patch=_rules(keep=_any_offer)),
    Bug("shares are not scaled", 66, patch=_rules(grant=_unscaled)),
    Bug("kept shares are not counted", 103, patch=_blind_room),
)
"""All of them."""

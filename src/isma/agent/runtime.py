"""Runtime of the ownership rules: carries out their effects with a real journal, sockets and services."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec

from isma.agent import tracing
from isma.agent.config import Config
from isma.agent.cpu import Enforcer
from isma.agent.journal import Journal, JournalFullError
from isma.agent.migrator import BaselineGoneError, Migrator, ServiceError
from isma.agent.ownership.ledger import Ledger
from isma.agent.ownership.vocabulary import (
    Asking,
    AttemptEnded,
    Begin,
    Delay,
    Effect,
    Event,
    Freeze,
    Froze,
    Frozen,
    Kept,
    Message,
    Outcome,
    Received,
    Recovered,
    Reserved,
    Retire,
    Run,
    Send,
    Serving,
    Snapshot,
    Stage,
    Staged,
    State,
    Step,
    Thaw,
    Wake,
    Woken,
)
from isma.agent.peers import PeerError, Peers
from isma.agent.spool import Spool, packed, unpacked
from isma.storage import digest

log = logging.getLogger("isma.agent")
_ASK_S = 1.0
_MOST_DOUBLINGS = 3
_REPEAT_S = 0.05


def note(event: str, **fields: object) -> None:
    """Write a line of the log: JSON, without secrets, with the trace to which it belongs."""
    record: dict[str, object] = {"event": event, "monotonic_s": time.monotonic(), **fields}
    if (span := tracing.current()) is not None:
        record |= {"trace": span.trace, "span": span.span}
    log.info("%s", json.dumps(record))


class Runtime:
    """All contexts of this agent; `handle` is the only way to change one."""

    def __init__(
        self,
        config: Config,
        journal: Journal,
        migrator: Migrator,
        peers: Peers,
        on_ended: Callable[[str, AttemptEnded], None],
        enforcer: Enforcer,
    ) -> None:
        records = journal.records()
        self.ledger = Ledger(
            {name: record.state for name, record in records.items()}, config.limits.contexts
        )
        self.about = {name: record.about for name, record in records.items() if record.about}
        """Data that travels with each context: its user and last request, as JSON."""
        self.spool = Spool(Path(config.folder) / "spool", config.limits.snapshot_bytes)
        self._journal, self._migrator, self._peers, self._on_ended = (
            journal,
            migrator,
            peers,
            on_ended,
        )
        self._enforcer = enforcer
        self._delays_s = {
            Delay.RESEND: config.resend_s,
            Delay.LEASE: config.lease_s,
            Delay.ASK: _ASK_S,
        }
        self._payloads: dict[str, tuple[str, bytes]] = {}
        """Outgoing snapshots, with their digests."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._baselines: dict[str, tuple[int, int, str]] = {}
        """Of each context the attempt whose target has a baseline, and that one's digest."""
        self._arrived: dict[str, AttemptEnded] = {}
        """Arrivals whose service has not confirmed yet that it runs."""
        self._running: set[tuple[str, str]] = set()
        """Running work on a snapshot, which is not started a second time."""
        self._last_bytes_s: dict[str, float] = {}
        """Time of the last bytes of each incoming snapshot."""

    def recover(self) -> None:
        """Recover the state in the journal."""
        for context, state in list(self.ledger.contexts.items()):
            self._enforce(context, state)
            self.handle(context, Recovered())

    async def close(self) -> None:
        """Cancel work under way; the journal has all that matters."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def handle(self, context: str, event: Event, about: bytes | None = None) -> Step:
        """Journal an event's next state, then carry out its effects. Raises JournalFullError before these."""
        step = self.ledger.step(context, event)
        if step.state is not None and step.state != self.ledger.contexts.get(context):
            self._change(context, step.state, about)
        for effect in step.effects:
            self._do(context, effect)
        return step

    def receive(self, context: str, sender: str, message: Message) -> None:
        """Take a message of another agent. Raises JournalFullError.

        A kept share is handled once the target has the service's baseline, since the service stops then.
        """
        state = self.ledger.contexts.get(context)
        if isinstance(message, Kept) and isinstance(state, Asking) and state.target == sender:
            work = self._copy_ahead(context, sender, message)
            self._start_once(context, message, work)
            return
        self.handle(context, Received(sender, message))

    async def _copy_ahead(self, context: str, target: str, kept: Kept) -> None:
        """Send the service's baseline while it runs; without one the whole state is sent during the stop."""
        try:
            baseline = await self._migrator.baseline(context)
            if baseline is not None:
                name = await asyncio.to_thread(digest, baseline)
                attempt = kept.epoch, kept.attempt
                await self._peers.send_baseline(target, context, attempt, name, baseline)
                self._baselines[context] = (*attempt, name)
                note("baseline", context=context, epoch=kept.epoch, bytes=len(baseline))
        except (ServiceError, PeerError) as error:
            note("baseline", context=context, epoch=kept.epoch, reason=str(error))
        self._answer(context, Received(target, kept))

    async def keep_baseline(self, context: str, name: str, baseline: bytes) -> bool:
        """Have a baseline of another agent at the service; False if it is not that or is not taken."""
        if await asyncio.to_thread(digest, baseline) != name:
            return False
        try:
            await self._migrator.keep(context, name, baseline)
        except ServiceError as error:
            note("service", context=context, reason=str(error))
            return False
        self.renew_lease(context)
        return True

    def _change(self, context: str, state: State, about: bytes | None) -> None:
        kept = self.about.get(context, b"") if about is None else about
        self._journal.write(context, state, kept)
        self.ledger.apply(context, state)
        if not isinstance(state, Reserved):
            self._last_bytes_s.pop(context, None)
        self._enforce(context, state)
        if kept:
            self.about[context] = kept
        note("state", context=context, state=type(state).__name__, epoch=state.epoch)

    def _enforce(self, context: str, state: State) -> None:
        """Enforce the ledger's share in the kernel; a failure is logged, and the share is promised only."""
        try:
            if isinstance(state, Serving | Asking | Frozen):
                self._enforcer.grant(context, state.share_ppm)
            else:
                self._enforcer.withdraw(context)
        except OSError as error:
            note("cpu", context=context, reason=error.strerror or str(error))

    def _do(self, context: str, effect: Effect) -> None:
        match effect:
            case Send(to, Snapshot() as message):
                self._start_once(context, effect, self._send(context, to, message))
            case Send(to, message):
                self._start(self._send(context, to, message))
            case Wake(delay, turn):
                after_s = self._delays_s[delay] * 2 ** min(turn, _MOST_DOUBLINGS)
                woken = Woken(self.ledger.contexts[context], turn)
                asyncio.get_running_loop().call_later(after_s, self._wake, context, woken)
            case Freeze(epoch, attempt):
                self._start_once(context, effect, self._freeze(context, epoch, attempt))
            case Stage():
                self._start_once(context, effect, self._stage(context, effect))
            case Begin() | Run() | Thaw() | Retire():
                self._start(self._call(context, effect))
            case AttemptEnded():
                note("told", context=context, outcome=effect.outcome.value, peer=effect.peer)
                if effect.outcome is Outcome.ARRIVED:  # Reported once the service runs.
                    self._arrived[context] = effect
                    return
                self._payloads.pop(context, None)
                self._on_ended(context, effect)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _start_once(self, context: str, effect: object, work: Coroutine[Any, Any, None]) -> None:
        """Start work on a snapshot, unless it is running already."""
        what = context, repr(effect)
        if what in self._running:
            work.close()
            return
        self._running.add(what)
        self._start(work).add_done_callback(lambda _: self._running.discard(what))

    def _wake(self, context: str, woken: Woken) -> None:
        if isinstance(woken.state, Reserved) and woken.state == self.ledger.contexts.get(context):
            left_s = (
                self._last_bytes_s.get(context, 0) + self._delays_s[Delay.LEASE] - time.monotonic()
            )
            if left_s > 0:  # The lease runs from the last bytes.
                asyncio.get_running_loop().call_later(left_s, self._wake, context, woken)
                return
        try:
            self.handle(context, woken)
        except JournalFullError as error:
            note("journal full", reason=str(error))
            asyncio.get_running_loop().call_later(_ASK_S, self._wake, context, woken)

    def _answer(self, context: str, event: Event, about: bytes | None = None) -> None:
        try:
            self.handle(context, event, about)
        except JournalFullError as error:  # Repeated when the timer expires.
            note("journal full", reason=str(error))

    async def _send(self, context: str, to: str, message: Any) -> None:
        payload = None
        if isinstance(message, Snapshot):
            name, payload = self._payloads.get(context, ("", None))
            payload = payload if name == message.digest else None
        try:
            await self._peers.send(to, context, message, payload)
        except PeerError as error:
            note("lost", context=context, message=type(message).__name__, reason=str(error))

    async def _call(self, context: str, call: Begin | Run | Thaw | Retire) -> None:
        """Call a service until it answers."""
        after_s = _REPEAT_S
        while True:
            try:
                await self._migrator.call(context, call)
            except ServiceError as error:
                note("service", context=context, reason=str(error))
                await asyncio.sleep(after_s)
                after_s = min(2 * after_s, 1.0)
                continue
            note("called", context=context, call=type(call).__name__, epoch=call.epoch)
            if isinstance(call, Run) and (arrived := self._arrived.pop(context, None)):
                self._on_ended(context, arrived)
            return

    async def _freeze(self, context: str, epoch: int, attempt: int) -> None:
        note("freeze", context=context, epoch=epoch)
        *attempt_known, baseline = self._baselines.get(context, (0, 0, ""))
        if attempt_known != [epoch, attempt]:
            baseline = ""
        try:
            snapshot = await self._migrator.freeze(context, epoch, attempt, baseline)
        except ServiceError as error:
            note("service", context=context, reason=str(error))
            return
        if snapshot is None:
            return
        payload = packed(self.about.get(context, b""), snapshot)
        name = await asyncio.to_thread(digest, payload)
        self._payloads[context] = (name, payload)
        self._answer(context, Froze(epoch, attempt, name))

    async def _stage(self, context: str, stage: Stage) -> None:
        payload = await asyncio.to_thread(
            self.spool.whole, context, stage.epoch, stage.attempt, stage.digest
        )
        if payload is None:
            note("snapshot", context=context, reason="it is not whole")
            return
        try:
            about, snapshot = unpacked(payload)
            parked = await self._migrator.park(context, stage.epoch, stage.attempt, snapshot)
        except BaselineGoneError as error:
            note("service", context=context, reason=str(error))
            self._let_go(context, stage)
            return
        except (msgspec.DecodeError, ServiceError) as error:
            note("service", context=context, reason=str(error))
            return
        if parked:
            self._answer(context, Staged(stage.epoch, stage.attempt, stage.digest), about)
            self.spool.forget(context)

    def _let_go(self, context: str, stage: Stage) -> None:
        """End a reservation's lease, so that its source is refused and starts again."""
        state = self.ledger.contexts.get(context)
        if isinstance(state, Reserved) and (state.epoch, state.attempt) == (
            stage.epoch,
            stage.attempt,
        ):
            self._answer(context, Woken(state, 0))

    def expects(self, context: str, sender: str, epoch: int, attempt: int) -> bool:
        """Whether a snapshot's bytes may come from that agent now."""
        state = self.ledger.contexts.get(context)
        if not isinstance(state, Reserved):
            return False
        return (state.source, state.epoch, state.attempt) == (sender, epoch, attempt)

    def take(self, context: str, epoch: int, attempt: int, offset: int, chunk: bytes) -> bool:
        """Take bytes of a snapshot; False if they do not come next. Raises OSError."""
        self.renew_lease(context)
        return self.spool.add(context, epoch, attempt, offset, chunk)

    def renew_lease(self, context: str) -> None:
        """Renew a reservation's lease, since bytes have arrived."""
        self._last_bytes_s[context] = time.monotonic()

"""Agents, services and users in virtual time: every fault, drawn from a seed, and the history of the run.

The ownership core is the product's; its journal, its network, its clock and the service's disk are here.
A process dies before or after any write and any effect. What it had written stays, what it had not is
lost, and so is all that was on its way to it from its own service.
"""

from collections import Counter
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any

from agent.simulation.faults import NONE, Plan, drawn
from agent.simulation.history import Applied, Changed, Fact, Held, Outcome, Sent
from isma.agent.ownership import fence
from isma.agent.ownership.ledger import Ledger
from isma.agent.ownership.rules import route
from isma.agent.ownership.vocabulary import (
    WHOLE_PPM,
    Begin,
    Close,
    Create,
    Delay,
    Effect,
    Elsewhere,
    Event,
    Freeze,
    Froze,
    Grant,
    Here,
    Move,
    Nowhere,
    Received,
    Recovered,
    Retire,
    Run,
    Send,
    Snapshot,
    Stage,
    Staged,
    State,
    Step,
    Thaw,
    Wake,
    Woken,
)

FAULTY_S, HEALED_S = 10.0, 40.0
"""Seconds with faults, and seconds after which all must agree."""
DELAYS_S = {Delay.RESEND: 0.25, Delay.LEASE: 1.5, Delay.ASK: 0.6}
_MOST_CONTEXTS = 3
_LATE_S, _REPEAT_S = 4.0, 0.3
_LEAVES = 0.01
"""Chance that a user who has done all ends its service, each time it thinks."""
_MOST_OPEN = 2
"""Requests of a user that are open at a time."""

Body = tuple[tuple[int, int], ...]
"""The service: a counter that remembers (request, count after it) of all that it has done."""


def digest(body: Body) -> str:
    """Of a snapshot."""
    return str(hash(body))


def fold(body: Body, request: int) -> tuple[Body, int]:
    """Do a request once, and answer its duplicates the same."""
    for key, outcome in body:
        if key == request:
            return body, outcome
    return (*body, (request, len(body) + 1)), len(body) + 1


class Process:
    """One agent with the service beside it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.journal: dict[str, State] = {}
        self.copies: dict[str, fence.Copy[Body]] = {}
        self.ledger = Ledger({}, _MOST_CONTEXTS)
        self.life = 0
        """Counts starts: what was meant for an earlier life is lost."""
        self.is_up = True
        self.paused_until_s = 0.0


class User:
    """Sends requests until each has its outcome, wherever the service has gone."""

    def __init__(self, context: str, agent: str, requests: int) -> None:
        self.context, self.home = context, agent
        self.agent, self.epoch = agent, 0
        self.open: list[int] = []
        self.todo = list(range(requests, 0, -1))
        self.done: list[int] = []


class World:
    """One run; `history` tells what happened."""

    def __init__(self, seed: int, plan: Plan | None = None, agents: int = 3) -> None:
        self.random = Random(seed)
        self.plan = plan or drawn(self.random, agents)
        self.faults = self.plan
        self.now_s = 0.0
        self.history: list[Fact] = []
        self.tried: Counter[str] = Counter()
        self.processes = {name: Process(name) for name in "ABCD"[:agents]}
        self.users: list[User] = []
        self._bytes: dict[str, Body] = {}
        self._cut: dict[tuple[str, str], float] = {}
        self._queue: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._number = count()
        self._skew = dict(zip(self.processes, self.plan.skew, strict=False))

    # Time.

    def at(self, after_s: float, call: Callable[..., None], *args: Any) -> None:
        """Do something later."""
        heappush(self._queue, (self.now_s + after_s, next(self._number), call, args))

    def run(self) -> list[Fact]:
        """Play the run to its end."""
        names = list(self.processes)
        for number in range(self.random.choice((1, 1, 2))):
            home = self.random.choice(names)
            user = User(f"{home}-{number}", home, self.random.randrange(4, 14))
            self.users.append(user)
            self.at(0, self._create, user, self.random.randrange(WHOLE_PPM))
            self.at(0.1, self._think, user)
            for _ in range(self.random.randrange(2, 9)):
                self.at(self.random.uniform(0.2, FAULTY_S), self._decide, user.context)
        if self.plan.partition:
            for second in range(int(FAULTY_S)):
                self.at(second, self._partition)
        self.at(FAULTY_S, self._heal)
        while self._queue and self._queue[0][0] <= HEALED_S:
            self.now_s, _, call, args = heappop(self._queue)
            call(*args)
        return self.history

    # What users and policies do.

    def _create(self, user: User, share_ppm: int) -> None:
        if user.context not in self.processes[user.home].ledger.contexts:
            self._event(user.home, user.context, Create(share_ppm))
            self.at(0.5, self._create, user, share_ppm)

    def _decide(self, context: str) -> None:
        target = self.random.choice(list(self.processes))
        share_ppm = self.random.randrange(WHOLE_PPM)
        for name in self.processes:
            event = Move(target, share_ppm) if name != target else Grant(share_ppm)
            self._event(name, context, event)

    def _think(self, user: User) -> None:
        if user.todo and len(user.open) < _MOST_OPEN:
            user.open.append(user.todo.pop())
            self._ask(user, user.open[-1])
        elif user.done and self.now_s < FAULTY_S:
            self._ask(user, self.random.choice(user.done), again=True)
        if user.todo or self.now_s < FAULTY_S:
            self.at(self.random.uniform(0.2, 1.2), self._think, user)
        if not user.todo and not user.open and self.random.random() < _LEAVES:
            self._transmit(user.context, user.agent, self._event, user.agent, user.context, Close())

    def _ask(self, user: User, request: int, again: bool = False) -> None:
        if not again and request not in user.open:
            return
        self._transmit(user.context, user.agent, self._requested, user, user.agent, request)
        if not again:
            self.at(self.random.uniform(0.3, 0.6), self._ask, user, request)

    def _requested(self, user: User, name: str, request: int) -> None:
        process = self.processes[name]
        if not process.is_up or process.paused_until_s > self.now_s:
            return
        match route(process.ledger.contexts.get(user.context)):
            case Here(epoch):
                self._local(process, self._serve, process, user, epoch, request)
            case Elsewhere(owner, epoch):
                self._transmit(name, user.context, self._redirected, user, owner, epoch)
            case Nowhere():
                self._transmit(name, user.context, self._redirected, user, user.home, 0)

    def _serve(self, process: Process, user: User, epoch: int, request: int) -> None:
        copy = process.copies.get(user.context, fence.Copy())
        if not fence.heeds(copy, epoch):
            return
        body, outcome = fold(copy.body or (), request)
        if body is not copy.body:
            self._write(process, user.context, fence.msgspec.structs.replace(copy, body=body))
            self.history.append(
                Applied(self.now_s, process.name, user.context, epoch, request, outcome)
            )
        self._transmit(process.name, user.context, self._answered, user, request, outcome)

    def _redirected(self, user: User, owner: str, epoch: int) -> None:
        if epoch >= user.epoch or not epoch:
            user.agent, user.epoch = owner, epoch

    def _answered(self, user: User, request: int, outcome: int) -> None:
        self.history.append(Outcome(self.now_s, user.context, request, outcome))
        if request in user.open:
            user.open.remove(request)
            user.done.append(request)

    # What an agent does.

    def _event(self, name: str, context: str, event: Event) -> None:
        process, random = self.processes[name], self.random
        if not process.is_up:
            return
        if process.paused_until_s > self.now_s:
            self._later(process, process.paused_until_s - self.now_s, context, event)
            return
        if self.faults.pause and random.random() < self.faults.pause:
            self.tried["pauses"] += 1
            process.paused_until_s = self.now_s + random.uniform(0.1, 2.5 * DELAYS_S[Delay.LEASE])
            self._later(process, process.paused_until_s - self.now_s, context, event)
            return
        step = process.ledger.step(context, event)
        dies = self.faults.crash and random.random() < self.faults.crash
        last = random.randrange(len(step.effects) + 2) if dies else -1
        self._carry_out(process, context, step, last)
        if dies:
            self._die(process)

    def _later(self, process: Process, after_s: float, context: str, event: Event) -> None:
        self.at(
            after_s, self._in_life, process, process.life, self._event, process.name, context, event
        )

    def _carry_out(self, process: Process, context: str, step: Step, last: int) -> None:
        """Journal the state, then do the effects; only the first `last` of these, where it is not -1."""
        if last == 0:
            return
        self._journal(process, context, step)
        for effect in step.effects[: last - 1 if last > 0 else None]:
            self._do(process, context, effect)

    def _journal(self, process: Process, context: str, step: Step) -> None:
        state = step.state
        if state is None or state == process.ledger.contexts.get(context):
            return
        self._persist(process, context, state)
        process.ledger.apply(context, state)
        self.history.append(Held(self.now_s, process.name, context, state))

    def _persist(self, process: Process, context: str, state: State) -> None:
        process.journal[context] = state

    def _do(self, process: Process, context: str, effect: Effect) -> None:
        match effect:
            case Send(to, message):
                self.history.append(Sent(self.now_s, process.name, to, context, message))
                event = Received(process.name, message)
                if isinstance(message, Snapshot):
                    self._transmit(process.name, to, self._arrive, to, context, event)
                else:
                    self._transmit(process.name, to, self._event, to, context, event)
            case Wake(delay, turn):
                after_s = DELAYS_S[delay] * self._skew[process.name] * min(2**turn, 4)
                woken = Woken(process.ledger.contexts[context], turn)
                self._later(process, after_s, context, woken)
            case Begin() | Freeze() | Thaw() | Stage() | Run() | Retire():
                self._local(process, self._call, process, context, effect)

    def _die(self, process: Process) -> None:
        self.tried["crashes"] += 1
        process.is_up = False
        process.life += 1
        after_s = self.random.choice((0.01, 0.3, 3.0)) * self.random.random()
        self.at(after_s, self._start, process)

    def _start(self, process: Process) -> None:
        process.is_up, process.paused_until_s = True, 0.0
        process.ledger = Ledger(process.journal, _MOST_CONTEXTS)
        for context, state in process.journal.items():
            self.history.append(Held(self.now_s, process.name, context, state))
        for context in process.journal:
            self._event(process.name, context, Recovered())

    # What the service beside it does.

    def _call(self, process: Process, context: str, effect: Effect) -> None:
        copy = process.copies.get(context, fence.Copy())
        answer: Event | None = None
        match effect:
            case Begin(epoch):
                copy = fence.begin(copy, epoch, ())
            case Freeze(epoch, attempt):
                copy = fence.freeze(copy, epoch, attempt)
                if fence.is_frozen(copy, epoch, attempt):
                    body = copy.body or ()
                    self._bytes[digest(body)] = body
                    answer = Froze(epoch, attempt, digest(body))
            case Thaw(epoch, attempt):
                copy = fence.thaw(copy, epoch, attempt)
            case Stage(epoch, attempt, name):
                copy = fence.park(copy, epoch, attempt, self._bytes_of(process, name))
                if fence.is_parked(copy, epoch, attempt):
                    answer = Staged(epoch, attempt, name)
            case Run(epoch):
                copy = fence.run(copy, epoch)
            case Retire(epoch):
                copy = fence.retire(copy, epoch)
        self._write(process, context, copy)
        if answer is not None:
            self._local(process, self._event, process.name, context, answer)

    def _bytes_of(self, process: Process, name: str) -> Body:
        """A snapshot that has come, by its digest."""
        return self._bytes[name]

    def _write(self, process: Process, context: str, copy: fence.Copy[Body]) -> None:
        """Put a copy on the service's disk."""
        old = process.copies.get(context, fence.Copy())
        process.copies[context] = copy
        if (copy.epoch, copy.phase) != (old.epoch, old.phase):
            running = copy.phase is fence.Phase.RUNNING
            self.history.append(Changed(self.now_s, process.name, context, copy.epoch, running))

    # What lies between.

    def _local(self, process: Process, call: Callable[..., None], *args: Any) -> None:
        """Between an agent and its service: any order, repeated until answered, lost with the process."""
        if self.faults.local_loss and self.random.random() < self.faults.local_loss:
            self.at(
                _REPEAT_S, self._in_life, process, process.life, self._local, process, call, *args
            )
            return
        late = self.faults.late and self.random.random() < self.faults.late
        after_s = self.random.random() * (_LATE_S if late else 0.004)
        self.at(after_s, self._in_life, process, process.life, call, *args)

    def _in_life(self, process: Process, life: int, call: Callable[..., None], *args: Any) -> None:
        if process.life == life:
            call(*args)

    def _transmit(self, start: str, end: str, call: Callable[..., None], *args: Any) -> None:
        """Between hosts: lost, twice, late, or not at all."""
        random, faults = self.random, self.faults
        if self._cut.get((start, end), 0) > self.now_s:
            self.tried["messages cut off"] += 1
            return
        if faults.loss and random.random() < faults.loss:
            self.tried["messages lost"] += 1
            return
        twice = faults.twice and random.random() < faults.twice
        if twice:
            self.tried["messages twice"] += 1
        for _ in range(2 if twice else 1):
            late = faults.late and random.random() < faults.late
            if late:
                self.tried["messages late"] += 1
            self.at(random.random() * (_LATE_S if late else 0.01), call, *args)

    def _arrive(self, name: str, context: str, event: Received) -> None:
        """A snapshot with its bytes: damaged ones are found before the agent hears of them."""
        if self.faults.damaged and self.random.random() < self.faults.damaged:
            self.tried["snapshots damaged"] += 1
            self._damaged(name, context, event)
        else:
            self._event(name, context, event)

    def _damaged(self, name: str, context: str, event: Received) -> None:
        """What is left of a snapshot whose bytes do not have the digest: nothing."""

    def _partition(self) -> None:
        for start in self.processes:
            for end in self.processes:
                if start != end and self.random.random() < self.faults.partition:
                    self._cut[start, end] = self.now_s + self.random.uniform(0.2, 5)

    def _heal(self) -> None:
        self.faults = NONE
        self._cut.clear()
        for process in self.processes.values():
            process.paused_until_s = 0.0

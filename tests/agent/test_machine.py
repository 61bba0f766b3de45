"""The ownership protocol against an adversary: hypothesis chooses what arrives, comes again or is lost."""

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from isma.agent.ownership import fence
from isma.agent.ownership.ledger import Ledger, granted_ppm
from isma.agent.ownership.vocabulary import (
    WHOLE_PPM,
    Asking,
    Begin,
    Create,
    Event,
    Freeze,
    Froze,
    Frozen,
    Grant,
    Move,
    Received,
    Recovered,
    Retire,
    Run,
    Send,
    Serving,
    Stage,
    Staged,
    State,
    Thaw,
    Wake,
    Woken,
)

NAMES = ("A", "B", "C")
CONTEXT = "A-0"
Call = Begin | Freeze | Thaw | Stage | Run | Retire
PICK = st.integers(0, 10_000)


class Agents(RuleBasedStateMachine):
    """Three agents, one context; what is on its way lies in bags from which anything may be taken."""

    def __init__(self) -> None:
        super().__init__()
        self.ledgers = {name: Ledger({}, 5) for name in NAMES}
        self.copies = {name: fence.Copy[int]() for name in NAMES}
        self.messages: list[tuple[str, Event]] = []
        self.calls: list[tuple[str, Call]] = []
        self.timers: list[tuple[str, Event]] = []
        self.snapshots: dict[str, int] = {}
        self.acknowledged = 0
        self.epochs: dict[str, int] = dict.fromkeys(NAMES, 0)

    @initialize()
    def created(self) -> None:
        self.happens("A", Create(500_000))
        self.called("A", Begin(1))

    def happens(self, name: str, event: Event) -> None:
        ledger = self.ledgers[name]
        step = ledger.step(CONTEXT, event)
        if step.state is not None:
            ledger.apply(CONTEXT, step.state)
        for effect in step.effects:
            match effect:
                case Send(to, message):
                    self.messages.append((to, Received(name, message)))
                case Wake(_, turn):
                    self.timers.append((name, Woken(ledger.contexts[CONTEXT], turn)))
                case Begin() | Freeze() | Thaw() | Stage() | Run() | Retire():
                    self.calls.append((name, effect))
                case _:
                    pass

    def called(self, name: str, call: Call) -> None:
        copy = self.copies[name]
        match call:
            case Begin(epoch):
                self.copies[name] = fence.begin(copy, epoch, 0)
            case Freeze(epoch, attempt):
                self.copies[name] = copy = fence.freeze(copy, epoch, attempt)
                if fence.is_frozen(copy, epoch, attempt):
                    digest = f"count {copy.body}"
                    self.snapshots[digest] = copy.body or 0
                    self.happens(name, Froze(epoch, attempt, digest))
            case Thaw(epoch, attempt):
                self.copies[name] = fence.thaw(copy, epoch, attempt)
            case Stage(epoch, attempt, digest):
                self.copies[name] = fence.park(copy, epoch, attempt, self.snapshots[digest])
                if fence.is_parked(self.copies[name], epoch, attempt):
                    self.happens(name, Staged(epoch, attempt, digest))
            case Run(epoch):
                self.copies[name] = fence.run(copy, epoch)
            case Retire(epoch):
                self.copies[name] = fence.retire(copy, epoch)

    @rule(name=st.sampled_from(NAMES), to=st.sampled_from(NAMES), share=st.integers(0, WHOLE_PPM))
    def decides(self, name: str, to: str, share: int) -> None:
        self.happens(name, Move(to, share) if name != to else Grant(share))

    @precondition(lambda self: self.messages)
    @rule(pick=PICK, again=st.booleans())
    def delivers(self, pick: int, again: bool) -> None:
        place = pick % len(self.messages)
        name, event = self.messages[place] if again else self.messages.pop(place)
        self.happens(name, event)

    @precondition(lambda self: self.messages)
    @rule(pick=PICK)
    def loses(self, pick: int) -> None:
        self.messages.pop(pick % len(self.messages))

    @precondition(lambda self: self.calls)
    @rule(pick=PICK, again=st.booleans())
    def calls_the_service(self, pick: int, again: bool) -> None:
        place = pick % len(self.calls)
        name, call = self.calls[place] if again else self.calls.pop(place)
        self.called(name, call)

    @precondition(lambda self: self.timers)
    @rule(pick=PICK)
    def wakes(self, pick: int) -> None:
        self.happens(*self.timers.pop(pick % len(self.timers)))

    @rule(name=st.sampled_from(NAMES))
    def crashes(self, name: str) -> None:
        self.calls = [call for call in self.calls if call[0] != name]
        self.timers = [timer for timer in self.timers if timer[0] != name]
        held = self.ledgers[name].contexts
        self.ledgers[name] = Ledger(held, 5)
        if CONTEXT in held:
            self.happens(name, Recovered())

    @rule(name=st.sampled_from(NAMES), epoch=st.integers(1, 6))
    def asks_the_service(self, name: str, epoch: int) -> None:
        copy = self.copies[name]
        if fence.heeds(copy, epoch):
            assert copy.body == self.acknowledged
            self.acknowledged += 1
            self.copies[name] = fence.msgspec.structs.replace(copy, body=self.acknowledged)

    def states(self) -> dict[str, State]:
        return {
            name: ledger.contexts[CONTEXT]
            for name, ledger in self.ledgers.items()
            if CONTEXT in ledger.contexts
        }

    @invariant()
    def one_owner_and_one_runs(self) -> None:
        states = self.states().values()
        assert sum(isinstance(state, Serving | Asking | Frozen) for state in states) <= 1
        assert sum(copy.phase is fence.Phase.RUNNING for copy in self.copies.values()) <= 1

    @invariant()
    def epochs_never_fall(self) -> None:
        for name, state in self.states().items():
            assert state.epoch >= self.epochs[name]
            self.epochs[name] = state.epoch

    @invariant()
    def shares_fit(self) -> None:
        for ledger in self.ledgers.values():
            assert granted_ppm(ledger.contexts.values()) <= WHOLE_PPM

    def teardown(self) -> None:
        """Heal: deliver and wake until nothing is left to do; one owner then runs all that was done."""
        for _ in range(400):
            bag = self.calls or self.messages or self.timers
            if not bag:
                break
            name, event = bag.pop(0)
            self.called(name, event) if isinstance(event, Call) else self.happens(name, event)
        if self.states():
            owner = [name for name, state in self.states().items() if isinstance(state, Serving)]
            assert len(owner) == 1
            copy = self.copies[owner[0]]
            assert fence.heeds(copy, self.states()[owner[0]].epoch)
            assert copy.body == self.acknowledged


TestAgents = Agents.TestCase
TestAgents.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)

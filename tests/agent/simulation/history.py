"""What happened in a run, and what of it must never happen: I1 to I5."""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from isma.agent.ownership.ledger import granted_ppm
from isma.agent.ownership.vocabulary import (
    WHOLE_PPM,
    Asking,
    Closed,
    Frozen,
    Message,
    Moved,
    Serving,
    State,
)


class Held(NamedTuple):
    """An agent's state of a context from now on."""

    time_s: float
    agent: str
    context: str
    state: State


class Sent(NamedTuple):
    """A message left an agent."""

    time_s: float
    agent: str
    to: str
    context: str
    message: Message


class Changed(NamedTuple):
    """A service's copy began or ceased to answer."""

    time_s: float
    agent: str
    context: str
    epoch: int
    running: bool


class Applied(NamedTuple):
    """A service carried a request out."""

    time_s: float
    agent: str
    context: str
    epoch: int
    request: int
    outcome: int


class Outcome(NamedTuple):
    """A user was told its request's outcome."""

    time_s: float
    context: str
    request: int
    outcome: int


Fact = Held | Sent | Changed | Applied | Outcome


class Ending(NamedTuple):
    """What is there once all is healed: states, counters and open requests."""

    states: dict[tuple[str, str], State]
    """By agent and context."""
    running: dict[tuple[str, str], int]
    """Epochs of copies that answer, by agent and context."""
    bodies: dict[str, tuple[tuple[int, int], ...]]
    """What the owner's service remembers of each context."""
    unanswered: dict[str, list[int]]
    """Requests without an outcome of each context."""


_OWNERS = (Serving, Asking, Frozen)


def violations(history: Iterable[Fact], ending: Ending) -> list[str]:
    """All that went wrong, by invariant; empty where nothing did."""
    facts = list(history)
    return [*_one_owner(facts), *_shares(facts), *_outcomes(facts, ending), *_agreement(ending)]


def _one_owner(facts: list[Fact]) -> list[str]:
    """I2: one effective owner at a time, one for each epoch, and epochs that never fall."""
    wrong: list[str] = []
    owner: dict[tuple[str, int], str] = {}
    known: dict[tuple[str, str], int] = {}
    done: dict[str, int] = {}
    held: dict[str, set[str]] = defaultdict(set)
    running: dict[str, set[str]] = defaultdict(set)
    for fact in facts:
        match fact:
            case Held(time_s, agent, context, state):
                if state.epoch < known.get((agent, context), 0):
                    wrong.append(f"I2 {time_s:.3f}: {agent} falls back to epoch {state.epoch}")
                known[agent, context] = state.epoch
                _toggle(held[context], agent, isinstance(state, _OWNERS))
                if (
                    isinstance(state, _OWNERS)
                    and owner.setdefault((context, state.epoch), agent) != agent
                ):
                    wrong.append(
                        f"I2 {time_s:.3f}: epoch {state.epoch} of {context} has two owners"
                    )
                if len(held[context]) > 1:
                    wrong.append(f"I2 {time_s:.3f}: {sorted(held[context])} all own {context}")
            case Changed(time_s, agent, context, epoch, runs):
                _toggle(running[context], agent, runs)
                if len(running[context]) > 1:
                    wrong.append(f"I2 {time_s:.3f}: {sorted(running[context])} all serve {context}")
            case Applied(time_s, agent, context, epoch, _, _):
                if epoch < done.get(context, 0):
                    wrong.append(f"I2 {time_s:.3f}: {agent} serves {context} in old epoch {epoch}")
                done[context] = epoch
            case _:
                pass
    return wrong


def _toggle(members: set[str], name: str, belongs: bool) -> None:
    if belongs:
        members.add(name)
    else:
        members.discard(name)


def _shares(facts: list[Fact]) -> list[str]:
    """I4: granted and kept shares of a server never exceed it."""
    wrong: list[str] = []
    held: dict[str, dict[str, State]] = defaultdict(dict)
    for fact in facts:
        if isinstance(fact, Held):
            held[fact.agent][fact.context] = fact.state
            total = granted_ppm(held[fact.agent].values())
            if total > WHOLE_PPM:
                wrong.append(f"I4 {fact.time_s:.3f}: {fact.agent} has given {total} ppm")
    return wrong


def _outcomes(facts: list[Fact], ending: Ending) -> list[str]:
    """I1, I3: one outcome a request, the same for duplicates; the state is the fold of all of them."""
    wrong: list[str] = []
    told: dict[tuple[str, int], int] = {}
    for fact in facts:
        if isinstance(fact, Outcome):
            before = told.setdefault((fact.context, fact.request), fact.outcome)
            if before != fact.outcome:
                wrong.append(
                    f"I1 {fact.time_s:.3f}: {fact.context}/{fact.request} has two outcomes"
                )
    for context, requests in ending.unanswered.items():
        if requests:
            wrong.append(f"I1: {context} has no outcome of {requests}")
    for context, body in ending.bodies.items():
        kept = dict(body)
        if len(kept) != len(body) or [count for _, count in body] != list(range(1, len(body) + 1)):
            wrong.append(f"I3: {context} did a request twice: {body}")
        for (name, request), outcome in told.items():
            if name == context and kept.get(request) != outcome:
                wrong.append(f"I3: {context} has lost {request}, which was acknowledged")
    return wrong


def _agreement(ending: Ending) -> list[str]:
    """I5: after healing one owner serves, and all who know of the context find it."""
    wrong: list[str] = []
    for context in ending.unanswered:
        states = {name: state for (name, of), state in ending.states.items() if of == context}
        owners = [name for name, state in states.items() if isinstance(state, Serving)]
        if not states or any(isinstance(state, Closed) for state in states.values()):
            continue
        if len(owners) != 1:
            wrong.append(f"I5: {context} is owned by {owners or 'nobody'}: {states}")
            continue
        owner, others = owners[0], {name: states[name] for name in states if name != owners[0]}
        if ending.running.get((owner, context)) != states[owner].epoch:
            wrong.append(f"I5: {context} does not run at its owner {owner}")
        for name, state in others.items():
            if not isinstance(state, Moved):
                wrong.append(f"I5: {name} still has {state} of {context}")
            elif not _finds(name, owner, states):
                wrong.append(f"I5: {name} does not find {context}")
    return wrong


def _finds(start: str, owner: str, states: dict[str, State]) -> bool:
    name = start
    for _ in states:
        state = states.get(name)
        if name == owner:
            return True
        if not isinstance(state, Moved):
            return False
        name = state.owner
    return name == owner

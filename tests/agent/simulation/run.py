"""One seed played and judged."""

from collections import Counter
from typing import NamedTuple

from agent.simulation.history import Applied, Ending, Held, Outcome, Sent, violations
from agent.simulation.world import World
from isma.agent.ownership.fence import Phase
from isma.agent.ownership.vocabulary import Abort, Released, Serving


class Played(NamedTuple):
    """What a run did and what went wrong in it."""

    seed: int
    violations: list[str]
    counts: Counter[str]


def play(seed: int, world: type[World] = World) -> list[str]:
    """What went wrong in the run of a seed."""
    run = world(seed)
    return violations(run.run(), ending(run))


def played(seed: int) -> Played:
    """The run of a seed, with counts of what it tried."""
    run = World(seed)
    history = run.run()
    counts = Counter(
        {
            "requests carried out": sum(isinstance(fact, Applied) for fact in history),
            "outcomes told": sum(isinstance(fact, Outcome) for fact in history),
            "hand-overs": len(
                {
                    (fact.context, fact.state.epoch)
                    for fact in history
                    if isinstance(fact, Held) and isinstance(fact.state, Released)
                }
            ),
            "attempts given up": len(
                {
                    (fact.context, fact.message.epoch, fact.message.attempt)
                    for fact in history
                    if isinstance(fact, Sent) and isinstance(fact.message, Abort)
                }
            ),
            **run.tried,
        }
    )
    return Played(seed, violations(history, ending(run)), counts)


def ending(world: World) -> Ending:
    """What is there at a run's end."""
    states, running, bodies = {}, {}, {}
    for process in world.processes.values():
        for context, state in process.ledger.contexts.items():
            states[process.name, context] = state
            if isinstance(state, Serving) and context in process.copies:
                bodies[context] = process.copies[context].body or ()
        for context, copy in process.copies.items():
            if copy.phase is Phase.RUNNING:
                running[process.name, context] = copy.epoch
    unanswered = {user.context: user.open + user.todo for user in world.users}
    return Ending(states, running, bodies, unanswered)

"""The faults of one simulated run, all drawn from its seed."""

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Plan:
    """How often what goes wrong, until all is healed."""

    loss: float
    """Part of the messages between agents and to users that is lost."""
    twice: float
    """Part that comes again."""
    late: float
    """Part that is held up for as long as seconds; so they overtake one another."""
    damaged: float
    """Part of the snapshots whose bytes change on the way."""
    local_loss: float
    """Part of the calls between an agent and its service that is lost."""
    crash: float
    """Chance that a process dies while it handles an event, before or after any of its writes and sends."""
    pause: float
    """Chance that it stands still before it handles one, and goes on later than its leases."""
    partition: float
    """Chance for each pair of agents and direction, in each second, that nothing passes for a while."""
    skew: tuple[float, ...]
    """How many times too long each agent's timers run."""


def drawn(random: Random, agents: int) -> Plan:
    """A plan: each kind of fault is absent in half of the runs."""

    def some(most: float) -> float:
        return random.choice((0.0, most * random.random()))

    return Plan(
        loss=some(0.3),
        twice=some(0.3),
        late=some(0.3),
        damaged=some(0.2),
        local_loss=some(0.2),
        crash=some(0.12),
        pause=some(0.06),
        partition=some(0.15),
        skew=tuple(random.choice((0.3, 0.8, 1.0, 1.0, 1.3, 3.0)) for _ in range(agents)),
    )


NONE = Plan(0, 0, 0, 0, 0, 0, 0, 0, (1.0, 1.0, 1.0, 1.0))

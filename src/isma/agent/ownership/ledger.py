"""All contexts of one agent, and the shares of its server that they have."""

from collections.abc import Iterable, Mapping

from isma.agent.ownership.rules import step
from isma.agent.ownership.vocabulary import (
    WHOLE_PPM,
    Closed,
    Event,
    Moved,
    Room,
    State,
    Step,
)


class Ledger:
    """Contexts by name; `apply` changes one once its new state is in the journal."""

    def __init__(self, contexts: Mapping[str, State], most_contexts: int) -> None:
        self.contexts: dict[str, State] = dict(contexts)
        self.most_contexts = most_contexts
        """Most contexts that have a share, granted or reserved."""
        self._taken_ppm = granted_ppm(self.contexts.values())
        self._held = sum(map(holds, self.contexts.values()))

    def step(self, context: str, event: Event) -> Step:
        """Consequences of an event, without carrying them out."""
        return step(self.contexts.get(context), event, self.room(context))

    def apply(self, context: str, state: State) -> None:
        """Take over the state that follows."""
        old = self.contexts.get(context)
        self._taken_ppm += share_ppm(state) - share_ppm(old)
        self._held += holds(state) - holds(old)
        self.contexts[context] = state

    def room(self, context: str) -> Room:
        """Room left for a context: the shares of others are taken."""
        own = self.contexts.get(context)
        others = self._held - holds(own)
        return Room(WHOLE_PPM - self._taken_ppm + share_ppm(own), others < self.most_contexts)


def holds(state: State | None) -> bool:
    """Whether a state takes room: the context is served here, or reserved."""
    return not isinstance(state, Moved | Closed | None)


def share_ppm(state: State | None) -> int:
    """Share of the server that is granted or reserved in a state."""
    return getattr(state, "share_ppm", 0)


def granted_ppm(states: Iterable[State]) -> int:
    """Share of the server that is granted or reserved in all of them."""
    return sum(map(share_ppm, states))

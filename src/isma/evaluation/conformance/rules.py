"""The rules of the contract, and the verdict on a policy."""

from dataclasses import dataclass
from enum import Enum


class Rule(Enum):
    """Rules of the contract for every policy."""

    MEMORY_ROWS = "memory rows"
    """Memory has a row for each server (`per_server`) or user (`per_user`)."""
    SHAPES = "shapes"
    """An action has a row for each user and server, and memory keeps its form."""
    NOBODY = "nobody in sight"
    """A moment without any user is no trouble."""
    ANSWERS = "answers"
    """It gives an answer at every moment, and raises nothing."""
    RANGES = "ranges"
    """Decisions are in their ranges."""
    SAME_ANSWER = "same answer"
    """The same memory, observation and key get the same action, in any order."""
    HIDDEN_USERS = "hidden users"
    """Rows that are not visible are not read."""
    OTHERS_USERS = "other servers' users"
    """The decisions of a server do not depend on users that it does not host."""
    OTHERS_NEWS = "other servers' news"
    """Nor on news that other servers have received."""
    OTHERS_MEMORY = "other servers' memory"
    """Nor on the memory of other servers."""


class RuleOutcome(Enum):
    """Outcome of a rule."""

    KEPT = "kept"
    BROKEN = "broken"
    NOT_TRIED = "not tried"


class BrokenRuleError(Exception):
    """A policy breaks a rule: the message says which value, and the way out."""


@dataclass(frozen=True)
class RuleVerdict:
    """Verdict on one rule, with its reason."""

    rule: Rule
    outcome: RuleOutcome
    said: str = ""
    """Violation of a broken rule; reason of one that was not tried."""

    @property
    def line(self) -> str:
        """The verdict in a line."""
        return f"{self.outcome.value:10} {self.rule.value:22} {self.said}".rstrip()

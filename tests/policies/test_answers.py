"""A policy that answers what the contract does not have is told so in one line, in any run."""

from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.small_worlds import tiny

from isma.contract import Action, Memory, Observation, Policy
from isma.errors import PolicyError
from isma.evaluation import cell
from isma.policies.plain_python import Decision, PlainPolicy, ServerView
from isma.simulator.params import build

SCENARIO = tiny({"duration_s": 8, "warmup_s": 2})
PARAMS = build(SCENARIO)


class Plain(PlainPolicy):
    """Answers what it is told to, in one program whatever that is."""

    answers: ClassVar[list[Callable[[ServerView], Any]]] = []

    def decide(self, view: ServerView) -> Decision:
        return self.answers[-1](view)


class Traced(Policy):
    """The same in JAX."""

    answer: Callable[[Memory, Observation], Any] = eqx.field(static=True)

    def act(self, memory: Memory, observation: Observation, key: Any) -> tuple[Action, Memory]:
        return self.answer(memory, observation)


def unchecked(name: str, value: Any) -> Decision:
    """A decision with a value that the checks of these tests alone would refuse."""
    decision = Decision(0, 1.0, 1.0)
    object.__setattr__(decision, name, value)
    return decision


def told(policy: Policy) -> str:
    with pytest.raises(PolicyError) as raised:
        cell.run(SCENARIO, PARAMS, policy, 0, lambda ticks: None)
    said = str(raised.value)
    assert len(said) < 500
    assert "\n" not in said
    return said


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            lambda view: None,
            "decide must return a Decision of isma.policies.plain_python, got nothing",
        ),
        (lambda view: [view.host, 1.0, 1.0], "got a list"),
        (lambda view: Decision("a", 1.0, 1.0), "Decision.server must be numbers, got a"),
        (lambda view: Decision(np.nan, 1.0, 1.0), "Decision.server must be finite, got nan"),
        (lambda view: Decision(0.5, 1.0, 1.0), "Decision.server must be whole numbers, got 0.5"),
        (lambda view: Decision([[1], [1, 2]], 1.0, 1.0), "Decision.server must be numbers"),
        (lambda view: Decision(view.host, np.zeros(99), 1.0), "got shape (99,)"),
        (lambda view: Decision(view.host, 1.0, None), "Decision.cpu_share must be numbers"),
        (lambda view: unchecked("price_s", [1, 2, 3]), "Decision.price_s must be one value"),
    ],
)
def test_an_odd_decision_in_plain_python(answer: Any, said: str) -> None:
    Plain.answers.append(answer)
    assert said in told(Plain())


def stays(observation: Observation) -> Action:
    nothing = jnp.zeros_like(observation.gain)
    price = jnp.zeros_like(observation.infrastructure.server_hz)
    return Action(observation.host, nothing, nothing, price)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            lambda m, o: None,
            "act must return a pair (Action, Memory) of isma.contract, got nothing",
        ),
        (lambda m, o: stays(o), "got a Action"),
        (lambda m, o: ([1, 2], m), "got (list, Memory)"),
        (
            lambda m, o: (eqx.tree_at(lambda a: a.server, stays(o), [0] * 7), m),
            "Action.server must hold a whole number for each user (7) as an array, got a list",
        ),
        (lambda m, o: (eqx.tree_at(lambda a: a.server, stays(o), o.gain), m), "got float32[7]"),
        (lambda m, o: (stays(o), Memory(jnp.zeros(3), None)), "nothing, got .per_server"),
    ],
)
def test_an_odd_answer_in_jax(answer: Any, said: str) -> None:
    assert said in told(Traced(answer))

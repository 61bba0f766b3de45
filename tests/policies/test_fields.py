"""Fields of a policy of one's own, written as in any dataclass: they arrive as what they are."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.small_worlds import tiny

from isma.contract import Action, Memory, Observation, Policy
from isma.evaluation import cell
from isma.policies import registry
from isma.policies.plain_python import Decision, PlainPolicy, ServerView
from isma.simulator.params import build

SCENARIO = tiny({"duration_s": 8, "warmup_s": 2})
PARAMS = build(SCENARIO)


class Plain(PlainPolicy):
    """Offloads all or nothing, as a field says that is not marked as static."""

    local: bool = True
    mode: str = "a"
    times: int = 2
    part: float = 1.0
    weights: Path = Path("none")
    table: np.ndarray | None = None
    learned: jax.Array | None = None

    def decide(self, view: ServerView) -> Decision:
        kinds = (self.local, bool), (self.mode, str), (self.times, int), (self.part, float)
        assert all(type(value) is kind for value, kind in kinds)
        assert isinstance(self.weights, Path)
        assert all(one is None or type(one) is np.ndarray for one in (self.table, self.learned))
        return Decision(view.host, 0.0 if self.local else self.part, 1 / len(view.host))


class Traced(Policy):
    """The same in JAX, with a branch of Python's on a field."""

    local: bool = True
    mode: str = "a"

    def act(self, memory: Memory, observation: Observation, key: Any) -> tuple[Action, Memory]:
        one = jnp.ones_like(observation.gain)
        ratio = 0 * one if self.local or self.mode == "idle" else one
        share = one / observation.host.size
        price = jnp.zeros_like(observation.infrastructure.server_hz)
        return Action(observation.host, ratio, share, price), memory


def offloads(policy: Policy) -> bool:
    """Whether any task is offloaded in a run (column 4 of `Cell.task_sample`)."""
    made = cell.run(SCENARIO, PARAMS, policy, 0, lambda ticks: None)
    return bool(np.any(made.task_sample[:, 4] > 0))


@pytest.mark.parametrize("made", [Plain, Traced])
def test_a_flag_that_is_false_is_false(made: type[Policy]) -> None:
    name = f"{__name__}:{made.__name__}"
    assert not offloads(registry.get(f"{name}:local=true:mode=b"))
    assert offloads(registry.get(f"{name}:local=false:mode=b"))


def test_arrays_arrive_as_arrays_of_numpy() -> None:
    policy = Plain(local=False, table=np.arange(3), learned=jnp.arange(3.0))
    assert offloads(policy)

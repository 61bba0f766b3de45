"""A function of the flat observation as a policy, trained by any library."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from isma.contract import Action, Memory, Observation, Policy
from isma.environments.checks import check_flag, check_whole
from isma.environments.episode import Led
from isma.environments.flat import Flat
from isma.environments.setting import Source, lay_out
from isma.errors import PolicyError, given
from isma.policies import registry
from isma.world.scenario import Scenario

Answer = Callable[[np.ndarray], Any]
"""Decisions for a batch of observations (agents, numbers): a server for each row (agents, rows), or the
log-odds of the servers (agents, rows, servers)."""


class FlatAgent(Policy):
    """Each server decides by a function of its flat observation, which is asked outside the compiled program.

    Its observations and the effect of its decisions are those of the environment with `flat=True`:
    ratios, shares and prices follow by formulas, own users beyond the rows stay where they are.
    """

    publishes_price: ClassVar[bool] = True

    answer: Answer = eqx.field(static=True)
    coding: Flat
    sample: bool = eqx.field(static=True)
    """Whether servers are drawn by their odds; else the likeliest is taken."""
    gives_odds: bool = eqx.field(static=True)
    server: int | None = eqx.field(static=True)
    """The only server that decides so; None: all do."""
    others: Policy | None
    """Decides for all other servers, and for newcomers between decisions of that one."""

    def __init__(
        self,
        answer: Answer,
        scenario: Source = "paper",
        *,
        overrides: Mapping[str, Any] | None = None,
        rows: int | None = None,
        sample: bool = True,
        server: int | None = None,
        others: str | None = None,
    ) -> None:
        world = lay_out(scenario, overrides, True, rows)
        assert isinstance(world.coding, Flat)
        self.answer, self.coding = answer, world.coding
        self.sample = check_flag("sample", sample)
        self.gives_odds = self._tried()
        if (server is None) != (others is None):
            raise PolicyError(
                "server and others must be given together (one server that learned among others), or "
                f"neither (all servers decide so), got server={server!r}, others={others!r}"
            )
        self.server, self.others = server, None
        if server is not None and others is not None:
            self.server = check_whole("server", server, 0, self.coding.num_servers - 1)
            self.others = registry.get(others)
            if self.others.visibility is not None:
                raise PolicyError(f"others must see what servers see, and {others} needs more")

    def init(
        self, scenario: Scenario, num_users: int, num_servers: int, key: PRNGKeyArray
    ) -> Memory:
        """The others' memory; the agent itself remembers nothing."""
        coding = self.coding
        own_coding = lay_out(scenario, None, True, min(coding.rows, num_users)).coding
        assert isinstance(own_coding, Flat)
        sizes = coding.num_users, coding.num_servers, coding.numbers
        given_sizes = own_coding.num_users, own_coding.num_servers, own_coding.numbers
        if sizes != given_sizes:
            shapes = [
                f"{users} users, {servers} servers and {numbers} numbers"
                for users, servers, numbers in (sizes, given_sizes)
            ]
            raise PolicyError(
                f"the agent was made for {shapes[0]}, and this scenario has {shapes[1]}: name the "
                "scenario that it was trained in"
            )
        if self.others is None:
            return Memory.none()
        return self.others.init(scenario, num_users, num_servers, key)

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        """Call the function for all servers at once, and carry out the decisions of those that act."""
        own_key, others_key = jax.random.split(key)
        chosen = self.coding.decode_all(self._choices(observation, own_key), observation)
        if self.others is None or self.server is None:
            return chosen, memory
        return Led(self.others, chosen, jnp.int32(self.server)).act(memory, observation, others_key)

    def _choices(self, observation: Observation, key: PRNGKeyArray) -> Int[Array, "servers rows"]:
        vectors = self.coding.encode_all(observation)
        rows, servers = self.coding.rows, self.coding.num_servers
        # Nothing that is traced may be in it.
        asked = partial(_asked, self.answer, rows, servers)
        if not self.gives_odds:
            like = jax.ShapeDtypeStruct((servers, rows), jnp.int32)
            return jax.pure_callback(asked, like, vectors, vmap_method="expand_dims")
        like = jax.ShapeDtypeStruct((servers, rows, servers), jnp.float32)
        odds: Float[Array, "servers rows places"] = jax.pure_callback(
            asked, like, vectors, vmap_method="expand_dims"
        )
        if self.sample:
            return jax.random.categorical(key, odds).astype(jnp.int32)
        return jnp.argmax(odds, axis=-1).astype(jnp.int32)

    def _tried(self) -> bool:
        """Whether the function gives log-odds; it is called once, with zeros. Raises PolicyError."""
        blank = np.zeros((2, self.coding.numbers), np.float32)
        odds = self.answer(blank)
        return _array(odds, len(blank), self.coding.rows, self.coding.num_servers).ndim == 3


def _asked(answer: Answer, rows: int, servers: int, vectors: Any) -> np.ndarray:
    """Answers for observations with any leading axes. Raises PolicyError."""
    vectors = np.array(vectors)
    flat = vectors.reshape(-1, vectors.shape[-1])
    array = _array(answer(flat), len(flat), rows, servers)
    kind = np.float32 if array.ndim == 3 else np.int32
    return array.astype(kind).reshape(*vectors.shape[:-1], *array.shape[1:])


def _array(answer: Any, agents: int, rows: int, servers: int) -> np.ndarray:
    """An answer to `agents` observations as an array. Raises PolicyError."""
    try:
        array = np.asarray(answer)
    except (ValueError, TypeError):
        array = np.empty(0, object)
    if array.dtype.kind == "f" and array.shape == (agents, rows * servers):
        array = array.reshape(agents, rows, servers)
    chosen = array.shape == (agents, rows) and array.dtype.kind in "iu"
    odds = array.shape == (agents, rows, servers) and array.dtype.kind == "f"
    if not (chosen or odds):
        got = f"{array.dtype}{list(array.shape)}" if array.dtype != object else given(answer)
        raise PolicyError(
            f"the agent must answer {agents} observations with whole numbers [{agents}, {rows}], a "
            f"server for each row, or with their log-odds [{agents}, {rows}, {servers}], got {got}"
        )
    if odds and np.isnan(array).any():
        raise PolicyError("the agent must answer with numbers, got NaN among its log-odds")
    if chosen and not ((array >= 0) & (array < servers)).all():
        raise PolicyError(
            f"the agent must choose servers from 0 to {servers - 1}, got {array.min()} to {array.max()}"
        )
    return array


def from_callable(answer: Answer, scenario: Source = "paper", **options: Any) -> FlatAgent:
    """A policy by a function of flat observations (agents, numbers).

    It gives a server for each row, whole numbers (agents, rows), or log-odds (agents, rows, servers).
    `scenario`, `overrides` and `rows` are those of the environment in which it was trained; `sample`,
    `server` and `others` as `FlatAgent` has them. Raises IsmaError.
    """
    return FlatAgent(answer, scenario, **options)

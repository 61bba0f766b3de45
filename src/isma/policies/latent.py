"""The paper's algorithm: a latent space model of each server's view, searched by cross-entropy."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from isma import randomness
from isma.contract import Action, Memory, Observation, Policy
from isma.errors import PolicyError
from isma.model import vectors
from isma.model.latent import Carry, LatentModel
from isma.model.vectors import Scales
from isma.planning import action_code
from isma.planning.action_code import Coded
from isma.planning.cross_entropy import Budget, Searched, search
from isma.when import when
from isma.world.scenario import Scenario, Visibility


class Belief(eqx.Module):
    """What a server remembers from one decision to the next; the paper's o_{<τ} and A_{<τ}."""

    carry: Carry
    action: Float[Array, "*servers action"]
    """The action A_{τ-1}, as the model reads it."""


class _Decided(NamedTuple):
    belief: Belief
    action: Coded


class _View(NamedTuple):
    """One server at a decision."""

    vector: Float[Array, "observation"]
    own: Bool[Array, "users"]
    takes: Bool[Array, "users"]
    """Own users whose action takes effect."""
    due: Bool[Array, ""]
    key: PRNGKeyArray


class LatentPlanner(Policy):
    """iSMA: infers the hidden state from what a server has seen, and plans in imagined futures.

    Each acting server searches action sequences for all its users at once, and carries out the
    first action of the best distribution's mean (steps 1 to 9 of section III.B). With other models
    it is the paper's SLSM- and DLSM-based approach.
    """

    model: LatentModel
    """Shared by all servers, or with a leading axis of servers."""
    scales: Scales
    budget: Budget
    noise_std: Float[Array, ""]
    """Standard deviation of what is added to the chosen code, to explore in training."""
    num_users: int = eqx.field(static=True)
    num_servers: int = eqx.field(static=True)
    separate: bool = eqx.field(static=True, default=False)
    """Whether every server has a model of its own."""
    discount: float = eqx.field(static=True, default=0.99)
    """γ of equation (9)."""

    def init(
        self, scenario: Scenario, num_users: int, num_servers: int, key: PRNGKeyArray
    ) -> Memory:
        """Nothing seen yet. Raises PolicyError for a world that the model is not for."""
        if scenario.visibility is Visibility.USER:
            raise PolicyError(
                "this policy plans for a server's users together: visibility must be server, got user"
            )
        if (num_users, num_servers) != (self.num_users, self.num_servers):
            raise PolicyError(
                f"this model is for {self.num_users} users and {self.num_servers} servers, and "
                f"{scenario.name} has {num_users} and {num_servers}: train one with "
                "isma train, and name it as isma:checkpoint=FILE"
            )
        if self.separate:
            carry = eqx.filter_vmap(lambda model: model.start())(self.model)
        else:
            carry = self.model.start((num_servers,))
        return Memory(Belief(carry, jnp.zeros((num_servers, self.model.sizes.action))), None)

    def act(
        self, memory: Memory, observation: Observation, key: PRNGKeyArray
    ) -> tuple[Action, Memory]:
        """Let every acting server plan for its own users."""
        seen = vectors.see(observation, self.scales)
        views = _View(
            seen.vector,
            seen.own,
            takes=seen.own & observation.decides,
            due=observation.due,
            key=jax.random.split(key, self.num_servers),
        )
        shape = (self.num_servers, self.num_users)
        nobody = Coded(jnp.zeros(shape, jnp.int32), jnp.zeros(shape), jnp.zeros(shape))
        model_axes = eqx.if_array(0) if self.separate else None
        decided = eqx.filter_vmap(_act_if, in_axes=(0, 0, 0, model_axes, None, None))(
            observation.acting,
            _Decided(memory.per_server, nobody),
            views,
            self.model,
            self.noise_std,
            self._settings,
        )
        return self._action(observation, decided.action), Memory(decided.belief, None)

    @property
    def _settings(self) -> "_Settings":
        return _Settings(self.budget, self.num_servers, self.discount)

    def _action(self, observation: Observation, action: Coded) -> Action:
        """The rows of each user's own host."""
        users = jnp.arange(self.num_users)
        mine = jax.tree.map(lambda column: column[observation.host, users], action)
        no_price = jnp.zeros_like(observation.infrastructure.server_hz)
        return Action(mine.server, mine.offload_ratio, mine.cpu_share, no_price)


class _Settings(eqx.Module):
    budget: Budget
    num_servers: int = eqx.field(static=True)
    discount: float = eqx.field(static=True)


def plan(
    model: LatentModel,
    carry: Carry,
    own: Bool[Array, "users"],
    budget: Budget,
    num_servers: int,
    discount: float,
    key: PRNGKeyArray,
) -> Searched:
    """Search the actions of a server's own users by the rewards that the model foretells (9)."""
    rows = (budget.candidates, own.shape[0], action_code.NUMBERS)

    def score(
        codes: Float[Array, "candidates steps numbers"], key: PRNGKeyArray
    ) -> Float[Array, "candidates"]:
        def one(so_far: tuple[Carry, Array], step: tuple[Array, Array, PRNGKeyArray]):
            believed, total = so_far
            code, weight, drawn = step
            coded = action_code.decode(code.reshape(rows), num_servers)
            action = action_code.model_input(coded, own, num_servers)
            # All candidates of a pass meet the same draws: they are compared, not their luck.
            believed = model.imagine(believed, action, drawn, common=True)
            return (believed, total + weight * model.reward(believed)), None

        weights = discount ** jnp.arange(budget.steps)
        steps = (jnp.moveaxis(codes, 1, 0), weights, jax.random.split(key, budget.steps))
        # The first step is apart: all candidates start from one belief, which spares products.
        first = jax.tree.map(lambda leaf: leaf[0], steps)
        later = jax.tree.map(lambda leaf: leaf[1:], steps)
        so_far, _ = one((carry, jnp.zeros(budget.candidates)), first)
        return jax.lax.scan(one, so_far, later)[0][1]

    return search(score, rows[1] * rows[2], budget, key)


def _act_if(
    acting: Bool[Array, ""],
    before: _Decided,
    view: _View,
    model: LatentModel,
    noise_std: Float[Array, ""],
    settings: _Settings,
) -> _Decided:
    arrays, rest = eqx.partition(model, eqx.is_array)

    def decide(before: _Decided, view: _View, arrays: LatentModel, noise_std: Array) -> _Decided:
        return _decide(before, view, eqx.combine(arrays, rest), noise_std, settings)

    return when(acting, decide, before, view, arrays, noise_std)


def _decide(
    before: _Decided,
    view: _View,
    model: LatentModel,
    noise_std: Float[Array, ""],
    settings: _Settings,
) -> _Decided:
    """Infer, plan, and remember what was done.

    A newcomer between two periods is decided for on a belief that is not kept: one latent step is
    one period.
    """
    observe_key, plan_key, noise_key = jax.random.split(view.key, 3)
    old = before.belief
    carry, _, _ = model.observe(old.carry, old.action, view.vector, observe_key)
    found = plan(
        model,
        carry,
        view.own,
        settings.budget,
        settings.num_servers,
        settings.discount,
        plan_key,
    )
    code = found.mean[0] + noise_std * randomness.normal(noise_key, found.mean[0].shape)
    coded = action_code.decode(code.reshape(view.own.shape[0], -1), settings.num_servers)
    action = action_code.model_input(coded, view.takes, settings.num_servers)
    unchanged = jnp.tile(~view.takes, action_code.NUMBERS) & ~view.due
    belief = Belief(
        carry=jax.tree.map(lambda new, kept: jnp.where(view.due, new, kept), carry, old.carry),
        action=jnp.where(unchanged, old.action, action),
    )
    return _Decided(belief, coded)

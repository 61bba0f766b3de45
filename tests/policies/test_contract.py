"""What every registered policy must keep to, whatever it decides."""

from functools import cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import untrained_policies
from helpers.fast_cases import TYPICAL, slow_but_for
from helpers.small_worlds import SERVERS, USERS, act, at_random, costing, decide, first_memory
from jaxtyping import Array, Bool, PyTree

from isma.contract import Action, Observation, Policy
from isma.policies import registry
from isma.world.scenario import Visibility

COSTLY = {
    f"{name} where moves cost": name
    for name in ("greedy", "price", "break-even", "mdp", "cell-mdp", "isma2")
}
"""Rules that charge a move, in a world in which there is something to charge."""
POLICIES = (*registry.RULES, *COSTLY, *untrained_policies.POLICIES)
REFERENCES = {name for name in registry.RULES if registry.get(name).visibility is Visibility.FULL}
OWN = [name for name in POLICIES if name not in REFERENCES]
ALONE = [name for name in OWN if name not in untrained_policies.PLANNERS]
"""Policies that can also decide for each user by itself."""
SEEDS = range(8)

FAST = (*TYPICAL, "price where moves cost", "isma2 where moves cost")
every_policy = pytest.mark.parametrize("name", slow_but_for(FAST, POLICIES))
every_own_policy = pytest.mark.parametrize("name", slow_but_for(FAST, OWN))
ALONE_EACH_TIME = ("random", "nearest", "greedy", "price where moves cost", "dqn")


@cache
def policy_named(name: str) -> Policy:
    """A rule as it is, a learned policy with random weights."""
    made = COSTLY.get(name, name)
    return registry.get(made) if made in registry.RULES else untrained_policies.named(made)


def moment(name: str, seed: int, visibility: Visibility | None = None) -> Observation:
    """At random, in the world that this policy is tried in."""
    found = at_random(seed, visibility or policy_named(name).visibility or Visibility.SERVER)
    return costing(found) if name in COSTLY else found


def rows_of(observation: Observation) -> tuple[PyTree, ...]:
    """What is known of each user, `visible` aside."""
    o = observation
    return (o.requests, o.gain, o.station, o.host, o.wait_s, o.decides)


def hide(observation: Observation, hidden: Bool[Array, "users"]) -> Observation:
    """Users out of sight, and nothing that is known of them: zeros, as the simulator gives."""
    blank = lambda value: jnp.where(hidden, jnp.zeros((), value.dtype), value)  # noqa: E731
    return eqx.tree_at(
        lambda o: (*rows_of(o), o.visible),
        observation,
        (*jax.tree.map(blank, rows_of(observation)), observation.visible & ~hidden),
    )


def mixed(one: Observation, other: Observation, take: Bool[Array, "users"]) -> Observation:
    """The users' rows of `other` where `take`, everything else of `one`."""
    choose = lambda a, b: jnp.where(take, b, a)  # noqa: E731
    return eqx.tree_at(rows_of, one, jax.tree.map(choose, rows_of(one), rows_of(other)))


def assert_same_rows(one: Action, other: Action, users: Array, servers: list[int]) -> None:
    """Not approximately: what is hidden must not even be read."""
    for name in ("server", "offload_ratio", "cpu_share"):
        rows = [np.asarray(getattr(action, name))[users] for action in (one, other)]
        np.testing.assert_array_equal(*rows, name)
    for server in servers:
        assert one.price_s[server] == other.price_s[server]


def assert_sound(action: Action, where: Array) -> None:
    """The action is one that the contract allows for the users `where`."""
    assert action.server.shape == action.offload_ratio.shape == action.cpu_share.shape == (USERS,)
    assert action.price_s.shape == (SERVERS,)
    server, ratio, share = (
        np.asarray(value)[where]
        for value in (action.server, action.offload_ratio, action.cpu_share)
    )
    assert np.all((server >= 0) & (server < SERVERS))
    assert np.all((share >= 0) & (share <= 1))
    assert np.all(share[ratio > 0] > 0), "who offloads needs a share"
    np.testing.assert_allclose(ratio * 10, np.round(ratio * 10), atol=1e-5)
    assert np.all((ratio >= 0) & (ratio <= 1))
    assert np.all(np.isfinite(action.price_s) & (action.price_s >= 0))


@every_policy
def test_actions_are_sound(name: str) -> None:
    policy = policy_named(name)
    for seed in SEEDS:
        observation = moment(name, seed)
        assert_sound(decide(policy, observation, seed), observation.visible)


@pytest.mark.parametrize(
    "view",
    slow_but_for(
        [(name, Visibility.USER) for name in ("nearest", "price where moves cost", "dqn")],
        [*((name, Visibility.USER) for name in ALONE), ("price", Visibility.FULL)],
    ),
)
def test_actions_are_sound_in_other_views(view: tuple[str, Visibility]) -> None:
    name, visibility = view
    for seed in SEEDS:
        observation = moment(name, seed, visibility)
        assert_sound(decide(policy_named(name), observation, seed), observation.visible)


@every_policy
def test_nobody_to_decide_for_is_no_trouble(name: str) -> None:
    policy = policy_named(name)
    observation = hide(moment(name, 0), jnp.arange(USERS) >= 0)
    action = decide(policy, observation)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(action))


@every_policy
@pytest.mark.parametrize("extreme", ["no prices", "no CPU left", "no signal", "fast users"])
def test_extremes_are_no_trouble(name: str, extreme: str) -> None:
    policy = policy_named(name)
    observation = moment(name, 1)
    where, value = {
        "no prices": (lambda o: o.news.price_s, 0),
        "no CPU left": (lambda o: o.news.remaining_hz, 0),
        "no signal": (lambda o: o.gain, 1e-30),
        "fast users": (lambda o: o.requests.local_hz, 1e15),
    }[extreme]
    filled = eqx.tree_at(where, observation, jnp.full_like(where(observation), value))
    assert_sound(decide(policy, filled), observation.visible)


@every_policy
def test_the_same_question_gets_the_same_bytes(name: str) -> None:
    policy = policy_named(name)
    observation = moment(name, 3)
    one, other = decide(policy, observation, 5), decide(policy, observation, 5)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


@every_policy
def test_memory_has_a_row_for_each_server_and_user(name: str) -> None:
    policy, observation = policy_named(name), moment(name, 4)
    before = first_memory(policy, observation)
    _, after = act(policy, before, observation, jax.random.key(0))
    assert jax.tree.structure(before) == jax.tree.structure(after)
    for one, other in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
    assert all(leaf.shape[0] == USERS for leaf in jax.tree.leaves(after.per_user))
    assert all(leaf.shape[0] == SERVERS for leaf in jax.tree.leaves(after.per_server))


@every_own_policy
def test_users_of_other_servers_change_nothing_here(name: str) -> None:
    """Who is hosted elsewhere, what they ask and whether those servers decide is nobody's business."""
    changed = 0
    for seed in SEEDS:
        one, other = moment(name, seed), moment(name, 100 + seed)
        elsewhere = one.host != 0
        moved = eqx.tree_at(lambda o: o.host, other, 1 + other.host % (SERVERS - 1))
        other = mixed(one, moved, elsewhere)
        other = eqx.tree_at(lambda o: o.acting, other, jnp.arange(SERVERS) <= seed % SERVERS)
        if seed % 2:
            other = hide(other, elsewhere & (other.host > seed % SERVERS))
        first, second = (decide(policy_named(name), seen, seed) for seen in (one, other))
        assert_same_rows(first, second, np.flatnonzero(~elsewhere), [0])
        changed += int(np.any(first.offload_ratio != second.offload_ratio))
        changed += int(np.any(first.cpu_share != second.cpu_share))
    assert changed or name in ("local", "random"), "the other users must have made some difference"


@pytest.mark.parametrize("name", slow_but_for(ALONE_EACH_TIME, ALONE))
def test_each_user_alone_decides_alone(name: str) -> None:
    for seed in SEEDS:
        one, other = (moment(name, s, Visibility.USER) for s in (seed, 100 + seed))
        me = jnp.arange(USERS) == seed % USERS
        first, second = (
            decide(policy_named(name), seen, seed) for seen in (one, mixed(one, other, ~me))
        )
        assert_same_rows(first, second, np.flatnonzero(me), [])


@every_policy
def test_rows_out_of_sight_are_not_read(name: str) -> None:
    """The simulator blanks them; a policy that reads them all the same finds other numbers."""
    policy = policy_named(name)
    for seed in SEEDS:
        observation, other = (moment(name, s) for s in (seed, 100 + seed))
        hidden = jnp.arange(USERS) >= 4
        blank = hide(observation, hidden)
        full_of_noise = eqx.tree_at(lambda o: o.decides, mixed(blank, other, hidden), blank.decides)
        first, second = (decide(policy, seen, seed) for seen in (blank, full_of_noise))
        assert_same_rows(first, second, np.arange(4), [0, 1, 2])


@every_own_policy
def test_news_of_other_listeners_is_not_read(name: str) -> None:
    for seed in SEEDS:
        one, other = moment(name, seed), moment(name, 100 + seed)
        rows = jnp.arange(SERVERS)[:, None] == 0
        news = jax.tree.map(lambda a, b, rows=rows: jnp.where(rows, a, b), one.news, other.news)
        heard = eqx.tree_at(lambda o: o.news, one, news)
        first, second = (decide(policy_named(name), seen, seed) for seen in (one, heard))
        assert_same_rows(first, second, np.flatnonzero(one.host == 0), [0])

"""One request at a time: whose turn it is, and what it knows of those before it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.small_worlds import USERS, line, network, seen
from jaxtyping import Array, Int, PRNGKeyArray

from isma.model.situation import Asked
from isma.planning.action_grid import Choice
from isma.policies.learned.sequential import as_action, take_turns
from isma.world.scenario import Visibility

KEY = jax.random.key(0)
THREE = network([1e9] * 3, line(3))


def emptiest(user: Int[Array, ""], asked: Asked, key: PRNGKeyArray) -> Choice:
    """Where least was asked so far, the first of equals; user 1 asks for 0.3, others for 0.5."""
    server = jnp.argmin(asked.share).astype(jnp.int32)
    share = jnp.where(user == 1, 2, 4)
    return Choice(server, jnp.asarray(10), share)


def first_with_least(user: Int[Array, ""], asked: Asked, key: PRNGKeyArray) -> Choice:
    """Where fewest users were sent so far."""
    return Choice(jnp.argmin(asked.users).astype(jnp.int32), jnp.asarray(10), jnp.asarray(4))


taken = eqx.filter_jit(lambda observation, choose=emptiest: take_turns(observation, choose, KEY))


def test_each_sees_what_was_chosen_before_it_on_its_own_server() -> None:
    """Rows 0, 1, 2, 4 are of server 0, row 3 is of server 2.

    0: nothing asked, goes to 0. 1: 0.5 at 0, goes to 1. 2: 0.5, 0.3, goes to 2. 3: begins anew.
    4: 0.5, 0.3, 0.5, goes to 1.
    """
    asked, choice = taken(seen(THREE, [0, 0, 0, 2, 0]))
    np.testing.assert_array_equal(choice.server[:5], [0, 1, 2, 0, 1])
    expected = [[0, 0, 0], [0.5, 0, 0], [0.5, 0.3, 0], [0, 0, 0], [0.5, 0.3, 0.5]]
    np.testing.assert_allclose(asked.share[:5], expected, atol=1e-6)
    np.testing.assert_array_equal(asked.users[:5], np.ceil(expected))


def test_who_does_not_decide_has_no_turn() -> None:
    asked, choice = taken(seen(THREE, [0, 0, 0], decides=[False, False, True]))
    np.testing.assert_array_equal(asked.share, np.zeros((USERS, 3)))
    assert int(choice.server[2]) == 0
    action = as_action(seen(THREE, [0, 1, 2], decides=[True, False, False]), choice)
    np.testing.assert_array_equal(action.server[:3], [0, 1, 2])
    np.testing.assert_array_equal(action.offload_ratio[1:], 0)
    np.testing.assert_array_equal(action.cpu_share[1:], 0)


def test_users_that_decide_alone_know_of_nobody() -> None:
    asked, choice = taken(seen(THREE, [0, 0, 0], visibility=Visibility.USER))
    np.testing.assert_array_equal(asked.users, np.zeros((USERS, 3)))
    np.testing.assert_array_equal(choice.server[:3], [0, 0, 0])


@pytest.mark.parametrize(
    ("order", "server"),
    [
        ([0, 1, 2, 3, 4], [0, 0, 1, 1, 0]),
        ([1, 3, 4, 0, 2], [0, 0, 1, 1, 0]),
        ([2, 1, 0, 3, 4], [1, 0, 0, 1, 0]),
    ],
)
def test_order_matters_within_a_server_alone(order: list[int], server: list[int]) -> None:
    """Users 0 and 2 are of server 0, users 1 and 3 of server 1, user 4 of server 2.

    Rows in another order change nothing until user 2 comes before user 0.
    """
    observation = seen(THREE, [[0, 1, 0, 1, 2][user] for user in order])
    _, choice = taken(observation, first_with_least)
    found = dict(zip(order, np.asarray(choice.server).tolist(), strict=False))
    assert [found[user] for user in range(5)] == server


def test_only_those_that_decide_are_taken_in_turn_in_a_batch() -> None:
    """Worlds with one, five and no turns, at once and one by one."""
    who = [[True] * 1 + [False] * 4, [True] * 5, [False] * 5]
    worlds = [seen(THREE, [0, 0, 1, 0, 2], decides=decides) for decides in who]
    batch = jax.tree.map(lambda *rows: jnp.stack(rows), *worlds)
    together = eqx.filter_jit(
        jax.vmap(lambda observation: take_turns(observation, first_with_least, KEY))
    )(batch)
    for at, observation in enumerate(worlds):
        alone = taken(observation, first_with_least)
        for one, other in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
            np.testing.assert_array_equal(one[at], other)

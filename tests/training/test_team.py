"""Servers as a team: what each decision is rewarded by, what a central critic sees, what is judged."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import untrained_policies
from helpers.small_worlds import SERVERS, USERS, line, network, seen, tiny

from isma.model import vectors
from isma.model.situation import Asked
from isma.planning.action_grid import Choice
from isma.policies.learned.sequential import Turns
from isma.policies.learned.team import CENTRAL_COLUMNS, TeamFrame, central_view, priced_situation
from isma.training.team import TeamDecisions, TeamLearner, TeamOptions, evaluate

KEY = jax.random.key(0)
THREE = network([1e9, 1e9, 2e9], line(3))
SCALES = vectors.scales([tiny()])


def test_what_a_user_would_pay_by_hand() -> None:
    """10 s alone and 1 s of work on servers 0 and 1, 0.5 s on server 2, at prices of 4, 0 and 2 s.

    √(a λ) = 2, 0 and 1 s, each over itself and 3 s.
    """
    observation = seen(THREE, [2], [0], local_s=10)
    price_s = jnp.zeros((SERVERS, SERVERS)).at[2].set(jnp.array([4.0, 0.0, 2.0]))
    news = observation.news.__class__(
        observation.news.remaining_hz, price_s, observation.news.age_s
    )
    observation = observation.__class__(**{**vars(observation), "news": news})
    paid = priced_situation(observation, SCALES).servers[0, :, -1]
    np.testing.assert_allclose(paid, [2 / 5, 0, 1 / 4], rtol=1e-4)


def test_what_a_central_critic_sees_by_hand() -> None:
    """Two users at server 0 and one at server 1, loads of 1, 0 and 3; clocks of 1, 1 and 2 GHz."""
    observation = seen(THREE, [0, 0, 1], data_mbit=[6, 18, 24])
    found = np.asarray(central_view(observation, SCALES, jnp.array([1.0, 0.0, 3.0])))
    assert found.shape == (SERVERS, CENTRAL_COLUMNS)
    np.testing.assert_allclose(found[:, 0], [0.2, 0.1, 0], atol=1e-6)
    np.testing.assert_allclose(found[:, 1], [0.1, 0.1, 0], atol=1e-6)  # (6 + 18) / 24 users' data.
    np.testing.assert_allclose(found[:, -2], np.log([2, 1, 4]), rtol=1e-5)
    np.testing.assert_allclose(found[:, -1], np.array([1, 1, 2]) / 15.95, rtol=1e-5)


@pytest.mark.parametrize("kind", ["ippo", "mappo"])
def test_a_choice_is_judged_by_its_odds(kind: str) -> None:
    made = untrained_policies.team(kind)
    shape = (4, 2)
    view = made.nothing_seen(USERS, SERVERS)
    view = jax.tree.map(lambda leaf: jax.random.normal(KEY, (*shape, *leaf.shape[1:])), view)
    nothing = jnp.zeros((*shape, SERVERS))
    chosen = jnp.arange(8, dtype=jnp.int32).reshape(shape) % SERVERS
    turns = Turns(view, Asked(nothing, nothing), Choice(chosen, chosen, chosen))
    central = jnp.ones((*shape, SERVERS, CENTRAL_COLUMNS)) if kind == "mappo" else None
    found = evaluate(made.network, TeamDecisions(turns, central))
    odds = np.asarray(jax.nn.softmax(made.network.odds(view, turns.asked)))
    for row, step in np.ndindex(*shape):
        one = odds[row, step]
        assert float(found.log_odds[row, step]) == pytest.approx(
            np.log(one[chosen[row, step]]), abs=1e-4
        )
        assert float(found.entropy[row, step]) == pytest.approx(
            -(one * np.log(one)).sum(), abs=1e-4
        )
    # A central critic's word is the same for all rows that see the same world.
    assert bool(np.ptp(np.asarray(found.value)) < 1e-6) is (kind == "mappo")


def test_a_team_is_rewarded_by_everybodys_delay() -> None:
    made = TeamLearner.make(
        "mappo", [tiny()], TeamOptions(worlds=2, periods=4, width=16, minibatches=2)
    )
    network = TeamFrame("mappo", 16).make(KEY)
    experience = made.collect(network, True, KEY)
    everybody = experience.everybody
    assert everybody is not None
    assert everybody.view.shape == (2 * USERS, 4, SERVERS, CENTRAL_COLUMNS)
    batch = made.sequences(experience)
    np.testing.assert_allclose(batch.reward, -everybody.mean_s / made.unit_s, rtol=1e-6)
    known = np.asarray(experience.known)
    own, all_users = np.asarray(experience.own_s), np.asarray(everybody.mean_s)
    assert np.std(all_users[known]) < np.std(own[known])

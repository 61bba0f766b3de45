"""Proximal policy optimisation: its parts by hand, and a policy that gets better."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from isma.model.actor_critic import ActorCritic, ActorCriticSizes, Judged
from isma.model.situation import Asked, Situation
from isma.planning.action_grid import Choice
from isma.policies.learned.sequential import Turns
from isma.training.descent import Descent
from isma.training.drac import along, evaluate, log_odds_of
from isma.training.ppo import Ppo, PpoOptions, Sequences, advantages

ROWS, STEPS, SERVERS = 64, 4, 3
SIZES = ActorCriticSizes(user=2, server=3, ratios=4, shares=5, width=8)
KEY = jax.random.key(0)
PPO = Ppo(Descent(0.02, total_updates=160, clip_norm=1.0), PpoOptions(minibatches=4), evaluate)


def test_advantages_by_hand() -> None:
    """γ = 0.5, λ = 0.5; errors are r + γ v' - v.

    Row 0: 1 + 0.5 · 2 - 1 = 1, then 2 + 0.5 · 4 - 2 = 2: 1 + 0.25 · 2 = 1.5 and 2; the last has none.
    Row 1: nothing is known of its first; its second is as before.
    """
    found = advantages(
        jnp.array([[1.0, 2.0, 9.0], [900.0, 2.0, 9.0]]),
        jnp.array([[1.0, 2.0, 4.0], [1.0, 2.0, 4.0]]),
        jnp.array([[True, True, False], [False, True, False]]),
        discount=0.5,
        trace=0.5,
    )
    np.testing.assert_allclose(found, [[1.5, 2, 0], [0, 2, 0]])


def test_odds_by_hand() -> None:
    """Two servers at 3 : 1; on server 1 two ratios at 1 : 4 and one share."""
    odds = Judged(
        jnp.log(jnp.array([[3.0, 1.0]])),
        jnp.log(jnp.array([[[7.0, 9.0], [1.0, 4.0]]])),
        jnp.zeros((1, 2, 1)),
        jnp.zeros(1),
    )
    one = jnp.array([1])
    log_odds, entropy = log_odds_of(odds, Choice(one, one, jnp.array([0])))
    assert float(log_odds[0]) == pytest.approx(np.log(1 / 4 * 4 / 5), rel=1e-5)
    of = lambda *odds: -sum(p * np.log(p) for p in odds)  # noqa: E731
    assert float(entropy[0]) == pytest.approx(of(0.75, 0.25) + of(0.2, 0.8), rel=1e-5)


def turns(network: ActorCritic, key: jax.Array) -> Turns:
    """Sequences in which every action is as likely as any other."""
    keys = jax.random.split(key, 5)
    shape = (ROWS, STEPS)
    view = Situation(
        jax.random.normal(keys[0], (*shape, SIZES.user)),
        jax.random.normal(keys[1], (*shape, SERVERS, SIZES.server)),
    )
    nothing = jnp.zeros((*shape, SERVERS))
    draw = lambda key, top: jax.random.randint(key, shape, 0, top)  # noqa: E731
    choice = Choice(
        draw(keys[2], SERVERS), draw(keys[3], SIZES.ratios), draw(keys[4], SIZES.shares)
    )
    return Turns(view, Asked(nothing, nothing), choice)


def test_sequences_are_judged_with_the_memory_of_then() -> None:
    network = ActorCritic.make(SIZES, KEY)
    batch = turns(network, KEY)
    odds = along(network, batch)
    memory = network.start((ROWS,))
    for step in range(STEPS):
        now = jax.tree.map(lambda leaf, step=step: leaf[:, step], (batch.view, batch.asked))
        memory = network.remember(memory, now[0])
        one = network.judge(memory.hidden[-1], *now)
        for name in ("server", "ratio", "share", "value"):
            np.testing.assert_allclose(
                getattr(odds, name)[:, step], getattr(one, name), atol=1e-5, err_msg=name
            )


def test_it_learns_what_pays_and_what_that_is_worth() -> None:
    """The server with the greatest first column pays 1, ratio 2 pays another; shares pay nothing."""
    network = ActorCritic.make(SIZES, KEY)
    optimiser = PPO.descent.first(network)
    for round_ in range(10):
        key = jax.random.fold_in(KEY, round_)
        batch = turns(network, key)
        odds = along(network, batch)
        # Acting by its own odds, as it must.
        keys = jax.random.split(key, 3)
        server = jax.random.categorical(keys[0], odds.server).astype(jnp.int32)
        ratio, share = odds.at(server)
        choice = Choice(
            server,
            *(jax.random.categorical(k, o) for k, o in zip(keys[1:], (ratio, share), strict=True)),
        )
        batch = eqx.tree_at(lambda t: t.choice, batch, choice)
        best = jnp.argmax(batch.view.servers[..., 0], axis=-1)
        reward = (choice.server == best).astype(float) + (choice.ratio == 2)
        known = jnp.broadcast_to(jnp.arange(STEPS) < STEPS - 1, (ROWS, STEPS))
        # What is unknown must not be learned from.
        reward = jnp.where(known, reward, 100.0)
        network, optimiser, terms = PPO.improve(
            network, optimiser, Sequences(batch, reward, known), jnp.asarray(0.0), key
        )
    fresh = turns(network, jax.random.key(99))
    odds = along(network, fresh)
    best = jnp.argmax(fresh.view.servers[..., 0], axis=-1)
    assert np.mean(jnp.argmax(odds.server, axis=-1) == best) > 0.9
    assert np.mean(jnp.argmax(odds.at(best)[0], axis=-1) == 2) > 0.99
    assert float(jnp.mean(odds.value)) == pytest.approx(1.9, abs=0.2)
    assert 0 < float(terms.entropy) < np.log(SERVERS * 4 * 5)
    assert float(terms.divergence) > 0

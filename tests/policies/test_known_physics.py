"""The search with known equations: what it knows, by hand, and what it finds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.small_worlds import decide, line, network, seen

from isma.errors import PolicyError
from isma.model.vectors import own_first
from isma.planning.action_code import Coded
from isma.policies import registry
from isma.policies.learned.known_physics import settings, times_s

TWO = network([1e9, 2e9], line(2))


def test_completion_times_by_hand() -> None:
    """1 Mbit takes 1 s by radio and 1 s a hop; 3e9 cycles are 3 s on server 0 and 1.5 s on server 1.

    Server 1 is asked for 0.5 by others, as it says. Users 0 and 1 are server 0's; with requests of
    0.6 and 0.9 they get 0.4 and 0.6 of it. At server 1 a request of 1 gets 1 / 1.5 of the CPU.
    """
    observation = seen(TWO, [0, 0], [0, 0], data_mbit=1, work_s=3, local_s=60, load=[9.0, 0.5])
    user, own = jax.jit(own_first)(observation)
    all_of = jax.jit(settings)(observation, user)
    setting = jax.tree.map(lambda leaf: leaf[0], all_of)
    np.testing.assert_allclose(setting.load, [0, 0.5], rtol=1e-5)
    home = Coded(jnp.zeros(7, int), jnp.ones(7), jnp.array([0.6, 0.9, 0, 0, 0, 0, 0])).of(own[0])
    np.testing.assert_allclose(times_s(setting, home)[:2], [1 + 3 / 0.4, 1 + 3 / 0.6], rtol=1e-5)
    away = Coded(jnp.array([0, 1] + [0] * 5), jnp.ones(7), jnp.array([0.6, 1.0] + [0] * 5))
    found = times_s(setting, away.of(own[0]))[:2]
    np.testing.assert_allclose(found, [1 + 3 / 0.6, 2 + 1.5 * 1.5], rtol=1e-5)
    half = Coded(jnp.zeros(7, int), jnp.full(7, 0.5), jnp.full(7, 0.5)).of(own[0])
    assert float(times_s(setting, half)[0]) == pytest.approx(30)  # Its own half takes longest.


def test_a_price_keeps_users_at_home() -> None:
    """An idle neighbour twice as fast: everyone goes there, unless each share of it costs a minute."""
    observation = seen(TWO, [0, 0], [0, 0], data_mbit=0.01, work_s=9, local_s=600, load=[0.0, 0.0])
    free = decide(registry.get("known-physics"), observation)
    assert 1 in free.server[:2].tolist()
    dear = decide(registry.get("known-physics:remote_price_s=600"), observation)
    assert dear.server[:2].tolist() == [0, 0]
    assert np.all(np.asarray(dear.offload_ratio[:2]) > 0.5)


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(
        PolicyError, match="remote_price_s must be a finite number, at least 0 and at most"
    ):
        registry.get("known-physics:remote_price_s=-1")
    with pytest.raises(
        PolicyError, match="discount must be a finite number, at least 0 and at most 1, got '2'"
    ):
        registry.get("isma:discount=2")

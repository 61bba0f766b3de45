"""The grid of actions: numbers, places, and what they stand for."""

import jax.numpy as jnp
import numpy as np
import pytest

from isma.planning import action_grid
from isma.planning.action_grid import Choice, choice_of, coded, number_of


def test_a_number_by_hand() -> None:
    """Server 2, ratio 0.3, share 0.7: (2 · 11 + 3) · 10 + 6 = 256."""
    choice = Choice(jnp.array([2]), jnp.array([3]), jnp.array([6]))
    assert number_of(choice).tolist() == [256]
    action = coded(choice)
    assert action.server.tolist() == [2]
    assert action.offload_ratio.tolist() == pytest.approx([0.3])
    assert action.cpu_share.tolist() == pytest.approx([0.7])


def test_every_number_is_one_action() -> None:
    """6 · 11 · 10 of them, all different, and back to their numbers."""
    numbers = jnp.arange(action_grid.grid_size(6))
    assert numbers.shape == (660,)
    choices = choice_of(numbers)
    np.testing.assert_array_equal(number_of(choices), numbers)
    actions = coded(choices)
    columns = np.stack([actions.server, actions.offload_ratio, actions.cpu_share], axis=1)
    assert len(np.unique(columns, axis=0)) == 660
    assert columns.min(axis=0).tolist() == pytest.approx([0, 0, 0.1])
    assert columns.max(axis=0).tolist() == [5, 1, 1]

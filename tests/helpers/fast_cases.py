"""Which cases of a test that holds for all of them run each time; the others run with the slow ones."""

from collections.abc import Collection, Iterable

import pytest
from _pytest.mark.structures import ParameterSet

TYPICAL = ("random", "nearest", "greedy", "price", "isma", "dqn")
"""A policy of each kind: with dice, by distance, by load, by prices, by a model, by a network."""

MOVERS = ("random", "price")
"""Rules that send users anywhere, and where the load is low: for what a simulator owes to any policy."""


def slow_but_for(fast: Collection[object], names: Iterable[object]) -> list[object | ParameterSet]:
    """All the names, those that are not among the fast ones marked as slow."""
    return [name if name in fast else pytest.param(name, marks=pytest.mark.slow) for name in names]

"""The layers of the paper's models by hand, their carries, and Table I row by row."""

import dataclasses
from functools import cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.random_weights import random_weights
from scipy.stats import norm

from isma.model import describe
from isma.model.frame import Frame
from isma.model.latent import Kind, LatentModel, Sizes, make
from isma.model.layers import Dense, Gaussian, Lstm

SIZES = Sizes(
    observation=15, action=6, reconstructed=11, users=2, latent=4, memory=8, cells=3, hidden=16
)
every_kind = pytest.mark.parametrize("kind", list(Kind))
KEY = jax.random.key(0)


@cache
def model_of(kind: Kind) -> LatentModel:
    """With random weights, drawn by one program."""
    return eqx.filter_jit(make)(kind, SIZES, KEY)


observe = eqx.filter_jit(lambda model, *seen: model.observe(*seen))
imagine = eqx.filter_jit(lambda model, *seen: model.imagine(*seen))


def sigmoid(x: float) -> float:
    return 1 / (1 + np.exp(-x))


def test_an_lstm_step_by_hand() -> None:
    """One cell of width 1: gates at 2 x + 3 h + 0.1, and so on, each with weights of its own."""
    weight = jnp.array([[2.0, 0.5, -1.0, 1.0], [3.0, 0.25, 0.5, -2.0]])
    bias = jnp.array([0.1, 0.2, 0.3, 0.4])
    lstm = Lstm((Dense(weight, bias),), width=1)
    before = lstm.start((1,))
    before = dataclasses.replace(before, hidden=(jnp.array([[0.5]]),), cell=(jnp.array([[-0.7]]),))
    after = lstm(before, jnp.array([[0.3]]))
    enter, forget, leave = (
        sigmoid(value)
        for value in (2 * 0.3 + 3 * 0.5 + 0.1, 0.5 * 0.3 + 0.25 * 0.5 + 0.2, -0.3 + 0.25 + 0.3)
    )
    cell = forget * -0.7 + enter * np.tanh(0.3 - 1.0 + 0.4)
    assert float(after.cell[0][0, 0]) == pytest.approx(cell, rel=1e-5)
    assert float(after.hidden[0][0, 0]) == pytest.approx(leave * np.tanh(cell), rel=1e-5)


def test_a_signal_passes_all_cells() -> None:
    """What an action changes is of the same order behind five cells as behind one."""
    lstm = Lstm.make(KEY, 10, 64, 5)
    start = lstm.start((256,))
    one, other = jax.random.normal(KEY, (2, 256, 10))
    changed = [
        float(jnp.std(a - b))
        for a, b in zip(lstm(start, one).hidden, lstm(start, other).hidden, strict=True)
    ]
    assert changed[-1] > 0.3 * changed[0]


def test_divergence_by_hand() -> None:
    """KL(N(1, 2²) || N(0, 1)) = (4 + 1 − 1 − ln 4) / 2, and by sampling."""
    one = Gaussian(jnp.array([1.0]), jnp.array([2.0]))
    other = Gaussian(jnp.array([0.0]), jnp.array([1.0]))
    exact = (4 + 1 - 1 - np.log(4)) / 2
    assert float(one.divergence_from(other)) == pytest.approx(exact)
    x = np.random.default_rng(0).normal(1, 2, 200_000)
    assert np.mean(norm(1, 2).logpdf(x) - norm(0, 1).logpdf(x)) == pytest.approx(exact, abs=0.02)
    assert float(one.divergence_from(one)) == 0


@every_kind
def test_rows_do_not_mix_and_shapes_hold(kind: Kind) -> None:
    model = model_of(kind)
    assert isinstance(model, LatentModel)
    action, observation = jax.random.uniform(KEY, (5, 6)), jax.random.uniform(KEY, (5, 15))
    carry, seen, foretold = observe(model, model.start((5,)), action, observation, KEY)
    assert carry.sample.shape == seen.mean.shape == foretold.std.shape == (5, 4)
    assert model.reward(carry).shape == (5, 2)
    assert model.reconstruct(carry).shape == (5, 11)
    assert float(seen.std.min()) >= 0.01
    others = (action.at[2].set(0), observation.at[3].set(0))
    changed = observe(model, model.start((5,)), *others, KEY)[0]
    same = np.all(np.isclose(carry.features, changed.features), axis=1)
    # SLSM's s after a first step depends on the action through its encoder, as RLSM's through h.
    assert same.tolist() == [True, True, False, False, True]


@every_kind
def test_what_is_drawn(kind: Kind) -> None:
    """DLSM draws nothing; the others do, also in imagination."""
    model = model_of(kind)
    carry, action = model.start((3,)), jnp.ones((3, 6))
    one, other = (imagine(model, carry, action, jax.random.key(seed)).sample for seed in (1, 2))
    assert bool(jnp.all(one == other)) is (kind is Kind.DLSM)


def test_only_its_own_state() -> None:
    assert model_of(Kind.SLSM).start().memory is None
    assert model_of(Kind.SLSM).start().features.shape == (4,)
    memory = model_of(Kind.RLSM).start().memory
    assert memory is not None
    assert len(memory.hidden) == 3
    assert model_of(Kind.DLSM).start().features.shape == (12,)


def test_rlsm_is_table_i() -> None:
    """Every row of the paper's table."""
    frame = Frame(Kind.RLSM, num_users=40, num_servers=6, cells=5, separate=False, largest=1.0)
    rows = describe.rows(frame)
    found = {
        (row.network, row.layer): (
            row.units if row.activation in "/-" else f"{row.units} {row.activation}",
            row,
        )
        for row in rows
    }
    table_i = {
        ("encoder", "input"): "200 + 246",
        ("encoder", "mean"): "60 tanh",
        ("encoder", "std"): "60 sigmoid",
        ("stochastic transition", "input"): "200",
        ("stochastic transition", "layer 1"): "512 tanh",
        ("stochastic transition", "mean"): "60 tanh",
        ("stochastic transition", "std"): "60 sigmoid",
        ("reward", "layer 1"): "512 relu",
        ("reward", "layer 2"): "60 relu",
        ("reward", "output"): "60 relu",
        ("observation", "layer 1"): "512 tanh",
        ("observation", "layer 2"): "256 tanh",
        ("observation", "output"): "166 sigmoid",
    }
    for place, told in table_i.items():
        assert found[place][0] == told
        assert found[place][1].paper == told
    for network in ("reward", "observation"):
        assert found[network, "input"][0] == "260"
        assert found[network, "input"][1].paper == "60 + 200"
    assert found["deterministic transition", "LSTM"][0] == "5 cells of 200 tanh"
    assert not [row for row in rows if "Deviation" in row.note]


def test_separate_models_differ() -> None:
    frame = Frame(Kind.SLSM, num_users=4, num_servers=3, cells=1, separate=True, largest=1.0)
    weights = jax.tree.leaves(eqx.filter(random_weights(frame), eqx.is_array))
    assert all(leaf.shape[0] == 3 for leaf in weights)
    matrices = [leaf for leaf in weights if leaf.ndim == 3]
    assert all(not bool(jnp.all(leaf[0] == leaf[1])) for leaf in matrices)

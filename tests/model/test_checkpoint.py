"""Checkpoints: what is saved is loaded, and what is foreign, damaged or mismatching is refused."""

import dataclasses
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.random_weights import random_weights
from safetensors.numpy import load_file, save_file

from isma.errors import CheckpointError
from isma.model import checkpoint, weights
from isma.model.frame import Frame
from isma.model.latent import Kind
from isma.model.vectors import Scales, scales
from isma.storage import digest
from isma.world.files import load

FRAME = Frame(Kind.SLSM, num_users=3, num_servers=2, cells=5, separate=False, largest=1.0)


def read(path: Path, kind: Kind) -> tuple[Frame, Any, Scales]:
    return weights.load(path, kind, partial(Frame, kind))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "slsm.safetensors"
    model = random_weights(FRAME)
    weights.save(path, FRAME, model, scales([load("paper")]), {"seed": 7})
    return path


def test_round_trip(path: Path) -> None:
    frame, found, scaled = read(path, Kind.SLSM)
    model = random_weights(FRAME)
    assert frame == FRAME
    assert checkpoint.about(path)["seed"] == 7
    assert float(scaled.data_bits) == 24e6
    one, other = (jax.tree.leaves(eqx.filter(m, eqx.is_array)) for m in (model, found))
    for a, b in zip(one, other, strict=True):
        assert b.dtype == jnp.float32
        np.testing.assert_allclose(b, a, rtol=1e-3, atol=1e-6)  # Stored in half precision.


def test_separate_models_round_trip(tmp_path: Path) -> None:
    frame = dataclasses.replace(FRAME, kind=Kind.RLSM, cells=2, separate=True)
    model = random_weights(frame, 1)
    weights.save(tmp_path / "m.safetensors", frame, model, scales([load("paper")]), {})
    again, found, _ = read(tmp_path / "m.safetensors", Kind.RLSM)
    assert again.separate
    assert found.encoder.mean.weight.shape[0] == 2


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


def no_sidecar(path: Path) -> None:
    path.with_suffix(".json").unlink()


def no_weights(path: Path) -> None:
    path.unlink()


def garbled_sidecar(path: Path) -> None:
    path.with_suffix(".json").write_text("{")


def foreign_sidecar(path: Path) -> None:
    path.with_suffix(".json").write_text(json.dumps({"format": "other"}))


def without_frame(path: Path) -> None:
    told = checkpoint.about(path)
    del told["frame"]["cells"]
    checkpoint.tell(path, told)


def another_number(path: Path) -> None:
    sidecar = path.with_suffix(".json")
    assert "24000000.0" in sidecar.read_text()
    sidecar.write_text(sidecar.read_text().replace("24000000.0", "24000001.0"))


def no_seal(path: Path) -> None:
    told = checkpoint.about(path)
    del told["seal"]
    path.with_suffix(".json").write_text(json.dumps(told))


def replaced(path: Path, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    """Other weights, with a digest that fits."""
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    checkpoint.tell(path, {**checkpoint.about(path), "sha256": digest(path.read_bytes())})


def not_finite(path: Path) -> None:
    replaced(path, lambda t: t["encoder.mean.bias"].__setitem__(0, np.nan))


def other_shape(path: Path) -> None:
    replaced(path, lambda t: t.__setitem__("encoder.mean.bias", np.zeros(3, np.float16)))


def missing_array(path: Path) -> None:
    replaced(path, lambda t: t.__delitem__("encoder.mean.bias"))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (truncate, "their digests differ"),
        (flip, "their digests differ"),
        (no_sidecar, "a checkpoint is two files"),
        (no_weights, "cannot be read"),
        (garbled_sidecar, "damaged"),
        (foreign_sidecar, "is no checkpoint of isma"),
        (another_number, "changed since it was written"),
        (no_seal, "changed since it was written"),
        (without_frame, "does not describe a network of slsm"),
        (not_finite, "encoder.mean.bias holds what is no finite number"),
        (other_shape, "encoder.mean.bias must have shape (60,), got (3,)"),
        (missing_array, "holds another model"),
    ],
)
def test_refused(damage: Callable[[Path], None], said: str, path: Path) -> None:
    damage(path)
    with pytest.raises(CheckpointError) as told:
        read(path, Kind.SLSM)
    assert said in str(told.value)
    assert "\n" not in str(told.value)


def test_another_kind_is_refused(path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds slsm, where rlsm is wanted"):
        read(path, Kind.RLSM)


TREE = {"a": jnp.arange(3), "b": jnp.ones((2, 2))}
BLANK = jax.tree.map(jnp.zeros_like, TREE)
HISTORY = [{"step": 1, "loss": 0.5}]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    checkpoint.save_state(tmp_path / "state.safetensors", TREE, HISTORY, "mine")
    return tmp_path / "state.safetensors"


def test_a_state_is_one_file(state: Path) -> None:
    assert [path.name for path in state.parent.iterdir()] == ["state.safetensors"]
    found, told = checkpoint.load_state(state, BLANK, "mine")
    assert told == HISTORY
    assert all(jax.tree.leaves(jax.tree.map(lambda x, y: bool(jnp.all(x == y)), TREE, found)))
    with pytest.raises(CheckpointError, match="is the state of another training"):
        checkpoint.load_state(state, BLANK, "another")
    state.write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint.load_state(state, BLANK, "mine")


def test_no_bit_of_a_state_changes_unnoticed(state: Path) -> None:
    content = state.read_bytes()
    for bit in range(0, 8 * len(content), 13):
        hurt = bytearray(content)
        hurt[bit // 8] ^= 1 << bit % 8
        state.write_bytes(bytes(hurt))
        with pytest.raises(CheckpointError):
            checkpoint.load_state(state, BLANK, "mine")


def test_the_state_before_stays(state: Path) -> None:
    first = state.read_bytes()
    checkpoint.save_state(state, TREE, [*HISTORY, {"step": 2}], "mine")
    assert checkpoint.state_before(state).read_bytes() == first
    assert checkpoint.load_state(state, BLANK, "mine")[1][-1] == {"step": 2}


def test_no_bit_of_a_sidecar_changes_unnoticed(path: Path) -> None:
    sidecar = path.with_suffix(".json")
    content = sidecar.read_bytes()
    for bit in range(0, 8 * len(content), 13):
        hurt = bytearray(content)
        hurt[bit // 8] ^= 1 << bit % 8
        sidecar.write_bytes(bytes(hurt))
        with pytest.raises(CheckpointError):
            checkpoint.about(path)

"""Trained weights in a file: safetensors, never pickle, and a JSON sidecar that describes them.

The sidecar holds the digest of the weights, so that neither file can be exchanged unnoticed, and a
seal of its own, so that nothing in it can be changed.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from isma.errors import CheckpointError, RunError, short
from isma.storage import BLANK, digest, is_intact, sealed, write_atomically

_FORMAT = "isma-checkpoint-1"
_SEAL, _TRAINING = "seal", "training"


def sidecar_path(path: Path) -> Path:
    """Path of the JSON sidecar. Raises CheckpointError for a path that cannot be a file's."""
    if not path.name:
        raise CheckpointError(f"a checkpoint must be a file of weights, got {str(path)!r}")
    return path.with_suffix(".json")


def save(path: Path, tree: PyTree, about: Mapping[str, Any], dtype: np.dtype | None = None) -> None:
    """Write the arrays of a tree, floats as `dtype` if given. Raises RunError."""
    tensors = {name: _stored(leaf, dtype) for name, leaf in _named(tree).items()}
    content = save_tensors(tensors)
    # The sidecar goes last: until its digest fits, the pair counts as damaged.
    write_atomically(path, content)
    tell(path, {"format": _FORMAT, "sha256": digest(content), **about})


def tell(path: Path, about: Mapping[str, Any]) -> None:
    """Write the sidecar of weights, sealed. Raises RunError."""
    text = json.dumps({**about, _SEAL: BLANK.decode()}, indent=2) + "\n"
    write_atomically(sidecar_path(path), sealed(text.encode()))


def about(path: Path) -> dict[str, Any]:
    """Content of the sidecar. Raises CheckpointError."""
    sidecar = sidecar_path(path)
    try:
        content = sidecar.read_bytes()
        found = json.loads(content)
    except OSError as error:
        raise CheckpointError(
            f"{sidecar}: cannot be read: {error.strerror}; a checkpoint is two files, "
            f"{path.name} and {sidecar.name}, made by `isma train`"
        ) from None
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{sidecar}: damaged: {error}; train again") from None
    if not isinstance(found, dict) or found.get("format") != _FORMAT:
        raise CheckpointError(f"{sidecar}: is no checkpoint of isma (format must be {_FORMAT})")
    if not is_intact(content, str(found.get(_SEAL))):
        raise CheckpointError(f"{sidecar}: changed since it was written: train again")
    return found


def load(path: Path, skeleton: PyTree) -> PyTree:
    """The skeleton with its arrays from the file. Raises CheckpointError where they do not fit."""
    content = _read(path)
    if digest(content) != about(path).get("sha256"):
        raise CheckpointError(
            f"{path}: damaged, or not the one that {sidecar_path(path).name} speaks of: "
            "their digests differ; train again"
        )
    return _filled(path, skeleton, _tensors(path, content))


def save_state(path: Path, tree: PyTree, history: list[dict[str, Any]], of: str) -> None:
    """Write a training's state and history as one sealed file, whole or not at all. Raises RunError.

    `of` names the training: its state is taken for no other's. The state before is kept as well.
    """
    tensors = {name: _stored(leaf, None) for name, leaf in _named(tree).items()}
    metadata = {"of": of, "history": history, _SEAL: BLANK.decode()}
    content = save_tensors(tensors, {_TRAINING: json.dumps(metadata)})
    try:
        with suppress(FileNotFoundError):
            path.replace(state_before(path))
    except OSError as error:
        raise RunError(f"{path}: cannot be replaced: {error.strerror}") from None
    write_atomically(path, sealed(content))


def state_before(path: Path) -> Path:
    """Where a training keeps the state before that one."""
    return path.with_name(f"{path.stem}.before{path.suffix}")


def load_state(path: Path, skeleton: PyTree, of: str) -> tuple[PyTree, list[dict[str, Any]]]:
    """A training's state and history. Raises CheckpointError."""
    content = _read(path)
    tensors = _tensors(path, content)
    try:
        with safe_open(path, "numpy") as file:
            metadata = json.loads((file.metadata() or {})[_TRAINING])
        seal, training, history = str(metadata[_SEAL]), metadata["of"], list(metadata["history"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, SafetensorError):
        raise CheckpointError(f"{path}: is no state of a training") from None
    if not is_intact(content, seal):
        raise CheckpointError(f"{path}: damaged: its digest is another")
    if training != of:
        raise CheckpointError(f"{path}: is the state of another training")
    return _filled(path, skeleton, tensors), history


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from None


def _tensors(path: Path, content: bytes) -> Mapping[str, np.ndarray]:
    try:
        return load_tensors(content)
    except SafetensorError as error:
        raise CheckpointError(f"{path}: damaged: {error}") from None
    except (
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
    ) as error:  # Of a type that NumPy lacks.
        raise CheckpointError(
            f"{path}: weights must be of 16, 32 or 64 bits as IEEE 754 has them, got {short(error)}"
        ) from None


def _filled(path: Path, skeleton: PyTree, tensors: Mapping[str, np.ndarray]) -> PyTree:
    wanted = _named(skeleton)
    if wanted.keys() != tensors.keys():
        unmatched = sorted(wanted.keys() ^ tensors.keys())
        raise CheckpointError(
            f"{path}: holds another model: {len(unmatched)} of its arrays do not match, first {unmatched[0]}"
        )
    for name, leaf in wanted.items():
        if tensors[name].shape != leaf.shape:
            raise CheckpointError(
                f"{path}: {name} must have shape {leaf.shape}, got {tensors[name].shape}"
            )
        if not np.all(np.isfinite(tensors[name])):
            raise CheckpointError(f"{path}: {name} holds what is no finite number; train again")
    leaves, structure = jax.tree_util.tree_flatten_with_path(skeleton)
    arrays = [
        jnp.asarray(tensors[_name(key)], leaf.dtype) if _is_array(leaf) else leaf
        for key, leaf in leaves
    ]
    return jax.tree_util.tree_unflatten(structure, arrays)


def _named(tree: PyTree) -> dict[str, Any]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {_name(key): leaf for key, leaf in leaves if _is_array(leaf)}


def _name(key: tuple) -> str:
    return jax.tree_util.keystr(key, simple=True, separator=".")


def _is_array(leaf: Any) -> bool:
    return eqx.is_array(leaf) or isinstance(leaf, jax.ShapeDtypeStruct)


def _stored(leaf: Any, dtype: np.dtype | None) -> np.ndarray:
    array = np.asarray(leaf, order="C")
    return array.astype(dtype) if dtype is not None and array.dtype.kind == "f" else array

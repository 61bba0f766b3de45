"""Trained weights in a file: safetensors, never pickle, and a JSON sidecar that says what they are.

The sidecar holds the digest of the weights, so that neither file can be exchanged unnoticed.
"""

import hashlib
import json
from collections.abc import Mapping
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

from isma.errors import CheckpointError
from isma.storage import write_atomically

_FORMAT = "isma-checkpoint-1"


def sidecar_path(path: Path) -> Path:
    """The JSON file beside the weights."""
    return path.with_suffix(".json")


def save(path: Path, tree: PyTree, about: Mapping[str, Any], dtype: np.dtype | None = None) -> None:
    """Write the arrays of a tree, floats as `dtype` if given. Raises RunError."""
    tensors = {name: _stored(leaf, dtype) for name, leaf in _named(tree).items()}
    content = save_tensors(tensors)
    text = json.dumps({"format": _FORMAT, "sha256": digest(content), **about}, indent=2) + "\n"
    # The sidecar goes last: until its digest fits, the pair counts as damaged.
    write_atomically(path, content)
    write_atomically(sidecar_path(path), text.encode())


def digest(content: bytes) -> str:
    """How a sidecar names its weights."""
    return hashlib.sha256(content).hexdigest()


def about(path: Path) -> dict[str, Any]:
    """What the sidecar says. Raises CheckpointError."""
    sidecar = sidecar_path(path)
    try:
        found = json.loads(sidecar.read_text())
    except OSError as error:
        raise CheckpointError(
            f"{sidecar}: cannot be read: {error.strerror}; a checkpoint is two files, "
            f"{path.name} and {sidecar.name}, made by `isma train`"
        ) from None
    except ValueError as error:
        raise CheckpointError(f"{sidecar}: damaged: {error}; train again") from None
    if not isinstance(found, dict) or found.get("format") != _FORMAT:
        raise CheckpointError(f"{sidecar}: is no checkpoint of isma (format must be {_FORMAT})")
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


def save_state(path: Path, tree: PyTree, history: list[dict[str, Any]]) -> None:
    """Write a training's state and history as one file, whole or not at all. Raises RunError."""
    tensors = {name: _stored(leaf, None) for name, leaf in _named(tree).items()}
    write_atomically(path, save_tensors(tensors, {"history": json.dumps(history)}))


def load_state(path: Path, skeleton: PyTree) -> tuple[PyTree, list[dict[str, Any]]]:
    """A training's state and history. Raises CheckpointError."""
    tensors = _tensors(path, _read(path))
    with safe_open(path, "numpy") as file:
        history = json.loads((file.metadata() or {}).get("history", "null"))
    if history is None:
        raise CheckpointError(f"{path}: is no state of a training")
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


def _filled(path: Path, skeleton: PyTree, tensors: Mapping[str, np.ndarray]) -> PyTree:
    wanted = _named(skeleton)
    if wanted.keys() != tensors.keys():
        odd = sorted(wanted.keys() ^ tensors.keys())
        raise CheckpointError(
            f"{path}: holds another model: {len(odd)} of its arrays do not match, first {odd[0]}"
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

"""Weights and sidecars that somebody has made to hurt: sealed as they should be, and refused at once."""

import json
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from isma.errors import CheckpointError
from isma.model import checkpoint
from isma.policies import registry
from isma.policies.learned.checkpoints import SHIPPED


def shipped(name: str, folder: Path) -> tuple[Path, dict[str, Any]]:
    """A copy of the package's weights, and what its sidecar says."""
    path = folder / "m.safetensors"
    path.write_bytes((SHIPPED / f"{name}.safetensors").read_bytes())
    told = checkpoint.about(SHIPPED / f"{name}.safetensors")
    return path, told


def as_bf16(content: bytes) -> bytes:
    """The same bytes, called of a type that NumPy lacks."""
    length = struct.unpack("<Q", content[:8])[0]
    header = content[8 : 8 + length].replace(b'"F16"', b'"BF16"')
    return struct.pack("<Q", len(header)) + header + content[8 + length :]


def refusal(policy: str, path: Path) -> str:
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError) as told:
            registry.get(f"{policy}:checkpoint={path}")
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()
    said = str(told.value)
    assert len(said) < 500
    assert "\n" not in said
    return said


def test_weights_of_a_type_that_numpy_lacks(tmp_path: Path) -> None:
    path, told = shipped("drac", tmp_path)
    path.write_bytes(as_bf16(path.read_bytes()))
    checkpoint.tell(path, {**told, "sha256": checkpoint.digest(path.read_bytes())})
    assert "weights must be of 16, 32 or 64 bits" in refusal("drac", path)


@pytest.mark.parametrize(
    ("policy", "name", "field", "value"),
    [
        ("isma", "rlsm", "num_users", 10**9),
        ("isma", "rlsm", "num_servers", 10**15),
        ("isma", "rlsm", "cells", 0),
        ("isma", "rlsm", "cells", -1),
        ("isma", "rlsm", "num_users", 1e300),
        ("isma", "rlsm", "num_users", "40"),
        ("isma", "rlsm", "num_users", None),
        ("dqn", "dqn", "width", 10**8),
        ("drac", "drac", "width", [64]),
    ],
)
def test_sizes_that_the_file_cannot_hold(
    policy: str, name: str, field: str, value: Any, tmp_path: Path
) -> None:
    path, told = shipped(name, tmp_path)
    checkpoint.tell(path, {**told, "frame": {**told["frame"], field: value}})
    said = refusal(policy, path)
    if isinstance(value, int):  # The tests' own checks of types come before ours.
        assert f"frame.{field} must be from 1 to" in said


@pytest.mark.parametrize("value", [0, -1.5, float("nan"), float("inf"), "120", None, True])
def test_a_time_that_is_none(value: Any, tmp_path: Path) -> None:
    path, told = shipped("rlsm", tmp_path)
    checkpoint.tell(path, {**told, "frame": {**told["frame"], "reward_s": value}})
    refusal("isma", path)


@pytest.mark.parametrize("frame", [None, 3, [], {}, {"kind": "dqn"}, {"kind": "dqn", "odd": 3}])
def test_a_frame_that_is_none(frame: Any, tmp_path: Path) -> None:
    path, told = shipped("dqn", tmp_path)
    checkpoint.tell(path, {**told, "frame": frame})
    assert "does not describe a network of dqn" in refusal("dqn", path)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 50_000, "9" * 10_000, "", "null", "\xff"]
)
def test_a_sidecar_that_is_none(text: str, tmp_path: Path) -> None:
    path, _ = shipped("dqn", tmp_path)
    checkpoint.sidecar_path(path).write_bytes(text.encode("latin1"))
    refusal("dqn", path)


def test_a_path_that_is_no_file(tmp_path: Path) -> None:
    for path in ("", ".", "/", str(tmp_path), "a\0b", "x" * 5000):
        with pytest.raises(CheckpointError):
            registry.get(f"dqn:checkpoint={path}")


def test_the_package_s_own_sidecars_are_as_they_were() -> None:
    assert json.loads((SHIPPED / "dqn.json").read_text())["frame"]["width"] == 128

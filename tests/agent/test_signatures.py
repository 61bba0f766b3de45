"""Weights are loaded by an agent's planner only as their signer has left them."""

import shutil
from pathlib import Path

import pytest

from isma.agent import signatures, worker
from isma.errors import RunError
from isma.policies.learned.checkpoints import SHIPPED

SIDECAR = "rlsm.json"


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    """A checkpoint that the keys in its folder have signed."""
    for name in ("rlsm.safetensors", SIDECAR):
        shutil.copy(SHIPPED / name, tmp_path / name)
    secret, _ = signatures.make_keys(tmp_path / "signer")
    assert secret.stat().st_mode & 0o077 == 0
    signatures.sign(tmp_path / "rlsm.safetensors", secret)
    return tmp_path / "rlsm.safetensors"


def refused(checkpoint: Path, why: str, signer: str = "signer.pub") -> None:
    policy = f"isma:checkpoint={checkpoint}"
    with pytest.raises(RunError, match=why) as found:
        worker.brains_of([policy], "paper", checkpoint.parent / signer)
    assert "\n" not in str(found.value)


def test_signed_weights_are_loaded(signed: Path) -> None:
    signatures.check(signed, signed.parent / "signer.pub")
    policies = ["nearest", "isma", f"isma:checkpoint={signed}"]
    assert len(worker.brains_of(policies, "paper", signed.parent / "signer.pub")) == 3


@pytest.mark.parametrize("name", ["rlsm.safetensors", SIDECAR, "rlsm.safetensors.sig"])
def test_a_changed_byte_is_refused(signed: Path, name: str) -> None:
    path = signed.parent / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    refused(signed, "must be the signature of rlsm.safetensors and its sidecar")


def test_weights_without_a_signature_or_with_anothers_are_refused(signed: Path) -> None:
    secret, _ = signatures.make_keys(signed.parent / "other")
    refused(signed, "signed by another", "other.pub")
    signatures.sign(signed, secret)
    refused(signed, "signed by another")
    signatures.signature_path(signed).unlink()
    refused(signed, "must be signed")
    signed.unlink()
    refused(signed, "must be signed")


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN PUBLIC KEY-----\nAA\n"])
def test_no_key_is_said(signed: Path, content: bytes) -> None:
    (signed.parent / "signer.pub").write_bytes(content)
    refused(signed, "policy.signer must be an Ed25519 public key")
    (signed.parent / "signer.key").write_bytes(content)
    with pytest.raises(RunError, match="must be an Ed25519 key in PEM"):
        signatures.sign(signed, signed.parent / "signer.key")


def test_keys_are_not_overwritten(signed: Path) -> None:
    before = (signed.parent / "signer.key").read_bytes()
    with pytest.raises(RunError, match="must be a new file"):
        signatures.make_keys(signed.parent / "signer")
    assert (signed.parent / "signer.key").read_bytes() == before

"""Signatures of checkpoints: Ed25519, in NAME.safetensors.sig next to the weights.

The SHA-256 of the weights and of their sidecar are signed together, so that neither can be another's.
"""

import base64
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from isma.errors import RunError
from isma.model.checkpoint import sidecar_path
from isma.storage import digest

_PURPOSE = "isma checkpoint 1"
_MOST_BYTES = 1_000


def make_keys(stem: Path) -> tuple[Path, Path]:
    """A new pair of keys, STEM.key (secret) and STEM.pub. Raises RunError."""
    secret, public = stem.with_name(f"{stem.name}.key"), stem.with_name(f"{stem.name}.pub")
    key = Ed25519PrivateKey.generate()
    pem, none = serialization.Encoding.PEM, serialization.NoEncryption()
    try:
        secret.touch(mode=0o600, exist_ok=False)
        secret.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, none))
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        public.write_bytes(key.public_key().public_bytes(pem, form))
    except FileExistsError:
        raise RunError(f"{secret} must be a new file, and is there: give another name") from None
    except OSError as error:
        raise RunError(f"{secret}: cannot be written: {error.strerror or error}") from None
    return secret, public


def signature_path(checkpoint: Path) -> Path:
    """Path of a checkpoint's signature."""
    return checkpoint.with_name(f"{checkpoint.name}.sig")


def sign(checkpoint: Path, secret: Path) -> Path:
    """Sign weights and their sidecar; the signature's file. Raises RunError."""
    try:
        key = serialization.load_pem_private_key(_read(secret), None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise RunError(f"{secret} must be an Ed25519 key in PEM (isma agent keys makes one)")
    path = signature_path(checkpoint)
    try:
        path.write_bytes(base64.b64encode(key.sign(_message(checkpoint))) + b"\n")
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror or error}") from None
    return path


def check(checkpoint: Path, public: Path) -> None:
    """Refuse weights that this key's owner has not signed as they are. Raises RunError."""
    try:
        key = serialization.load_pem_public_key(_read(public))
    except ValueError:
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise RunError(f"policy.signer must be an Ed25519 public key in PEM, got {public}")
    path = signature_path(checkpoint)
    if not path.exists():
        raise RunError(
            f"{checkpoint} must be signed, and {path.name} is not there: sign it with "
            f"`isma agent sign` or leave policy.signer out"
        )
    try:
        key.verify(
            base64.b64decode(_read(path)[:_MOST_BYTES], validate=False), _message(checkpoint)
        )
    except (InvalidSignature, ValueError):
        raise RunError(
            f"{path} must be the signature of {checkpoint.name} and its sidecar by {public}, and is not: "
            f"they were changed, or signed by another"
        ) from None


def _message(checkpoint: Path) -> bytes:
    parts = (checkpoint, sidecar_path(checkpoint))
    return "\n".join((_PURPOSE, *(digest(_read(part)) for part in parts))).encode()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}") from None

"""Identity: the DNS name in a certificate that the authority has signed, and nothing else."""

import ssl
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, NamedTuple

from isma.agent.config import Tls
from isma.errors import RunError


class Kind(Enum):
    """Purpose of a certificate."""

    AGENT = "agent"
    USER = "user"


class Identity(NamedTuple):
    """An agent or a user."""

    kind: Kind
    name: str

    @property
    def host(self) -> str:
        """The DNS name in its certificate."""
        return f"{self.name}.{self.kind.value}.isma"


def of_certificate(certificate: Mapping[str, Any] | None) -> Identity | None:
    """The one identity that a verified certificate proves; None for none or several."""
    names = [
        value for kind, value in (certificate or {}).get("subjectAltName", ()) if kind == "DNS"
    ]
    found = [identity for name in names if (identity := _of_host(name)) is not None]
    return found[0] if len(found) == 1 and len(names) == 1 else None


def _of_host(host: str) -> Identity | None:
    name, _, rest = host.partition(".")
    kind = next((kind for kind in Kind if rest == f"{kind.value}.isma"), None)
    return None if kind is None or not name or "*" in name else Identity(kind, name)


def context(tls: Tls, *, server: bool) -> ssl.SSLContext:
    """TLS 1.3 in which both sides show a certificate of the authority. Raises RunError."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.verify_mode = ssl.CERT_REQUIRED
    try:
        made.load_cert_chain(tls.certificate, tls.key)
        made.load_verify_locations(tls.authority)
    except OSError as error:  # ssl.SSLError is one.
        files = f"{tls.certificate}, {tls.key} and {tls.authority}"
        raise RunError(
            f"{files} must be a certificate, its key and the authority: {error}"
        ) from None
    return made


def counted(tls: ssl.SSLContext, refused: Callable[[], None]) -> ssl.SSLContext:
    """Make a TLS context report each connection that it refuses."""

    class _Counted(ssl.SSLObject):
        """A connection."""

        def do_handshake(self) -> None:
            """Handshake; a failure is reported."""
            try:
                super().do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise
            except ssl.SSLError:
                refused()
                raise

    tls.sslobject_class = _Counted
    return tls

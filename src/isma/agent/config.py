"""Configuration of an agent: a TOML file, read once and checked before anything is opened."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from isma.errors import RunError, short

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")]
Port = Annotated[int, msgspec.Meta(ge=1, le=65_535)]
Positive = Annotated[float, msgspec.Meta(gt=0, le=1e15)]
Count = Annotated[int, msgspec.Meta(ge=1, le=10**9)]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file; an unknown field is an error."""


class Listen(_Table, frozen=True):
    """Address for requests: HTTP over mutual TLS 1.3."""

    port: Port
    address: str = "127.0.0.1"


class Tls(_Table, frozen=True):
    """PEM files. The certificate's DNS name is the identity: NAME.agent.isma or NAME.user.isma."""

    certificate: str
    key: str
    authority: str


class Service(_Table, frozen=True):
    """The service of this server, which answers on a Unix socket (docs/agent/service.md)."""

    socket: str


class Server(_Table, frozen=True):
    """The edge server."""

    cpu_hz: Positive
    """CPU clock f^e."""
    decision_period_s: Positive = 1.0
    """Decision period D."""


class BroadcastTable(_Table, frozen=True):
    """Broadcast of remaining computing resources to the other agents, over QUIC with mutual TLS."""

    listen: str
    """HOST:PORT, UDP."""
    peers: dict[Name, str] = {}
    """Addresses of the other agents by their names: HOST:PORT."""
    period_s: Positive = 0.5
    stale_s: Positive = 2.0
    """Age from which news counts as stale; reasons of decisions name it."""


class Cpu(_Table, frozen=True):
    """Enforcement of granted shares of the CPU."""

    enforce: Literal["none", "cgroup1", "cgroup2"] = "none"
    """Control groups of version 1 or 2, or promised only."""
    folder: str = ""
    """Control group below which each context gets its own; this process must be able to write it."""
    cores: Positive = 1.0
    """Cores that a share of 1 stands for."""


class Policies(_Table, frozen=True):
    """Policies of the simulator for this server, in a process of their own.

    The last that answers in time decides; without any, users are served at the nearest server.
    """

    names: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=4)] = ("price",)
    """The cheapest first: ["price", "isma2"]."""
    scenario: str = "paper"
    """A preset or a scenario file: radio, backhaul, costs of migration."""
    deadline_s: Positive = 0.5
    record: bool = False
    """Record views and proposals in decisions.jsonl in the folder, for a replay."""
    signer: str = ""
    """Public key (Ed25519, PEM) of the signer of checkpoints; if given, no other weights are loaded."""
    shadow: bool = False
    """Shadow mode: log the policies' decisions, and serve users as without them."""


class Limits(_Table, frozen=True):
    """Limits, so that no client can exhaust the process."""

    contexts: Count = 1_000
    """Most contexts, served here or reserved."""
    body_bytes: Count = 65_536
    snapshot_bytes: Count = 64 * 2**20
    requests_per_s: Positive = 200.0
    """Most requests a second of one user."""
    request_s: Positive = 10.0
    """Timeout of a TLS handshake, and of a request with its answer."""
    connections: Count = 1_000
    """Most concurrent connections, of all users and agents."""


class Config(_Table, frozen=True):
    """One agent."""

    name: Name
    folder: str
    """Folder of the journal and of incoming snapshots."""
    listen: Listen
    tls: Tls
    service: Service
    server: Server
    peers: dict[Name, str] = {}
    """Other agents' addresses by their names: https://HOST:PORT."""
    broadcast: BroadcastTable | None = None
    """None: nothing is broadcast or received."""
    cpu: Cpu = Cpu()
    policy: Policies | None = None
    """None: users are served at the nearest server."""
    limits: Limits = Limits()
    lease_s: Positive = 2.0
    """Lease of a share that is reserved for an incoming service."""
    resend_s: Positive = 0.25
    """Time after which a message is resent."""


def read(path: Path) -> Config:
    """Read a file's config; paths are relative to its folder. Raises RunError."""
    try:
        tree = tomllib.loads(path.read_text())
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise RunError(f"{path} must be TOML: {short(error, 200)}") from None
    try:
        found = msgspec.convert(tree, Config)
    except msgspec.ValidationError as error:
        raise RunError(
            f"{path}: {short(error, 200)} (isma agent init writes one that is right)"
        ) from None
    if found.name in found.peers:
        raise RunError(f"{path}: peers must be other agents, got this one's name {found.name!r}")
    for name, address in found.peers.items():
        if not address.startswith("https://"):
            raise RunError(f"{path}: peers.{name} must begin with https://, got {short(address)!r}")
    _check_broadcast(path, found)
    if found.cpu.enforce != "none" and not found.cpu.folder:
        raise RunError(f"{path}: cpu.folder must be given with cpu.enforce = {found.cpu.enforce!r}")
    base = path.resolve().parent
    tls = Tls(*(str(base / part) for part in msgspec.structs.astuple(found.tls)))
    policy = found.policy
    if policy is not None and policy.signer:
        policy = msgspec.structs.replace(policy, signer=str(base / policy.signer))
    return msgspec.structs.replace(
        found,
        policy=policy,
        folder=str(base / found.folder),
        tls=tls,
        service=Service(str(base / found.service.socket)),
    )


def _check_broadcast(path: Path, config: Config) -> None:
    if config.broadcast is None:
        return
    places = {"listen": config.broadcast.listen, **config.broadcast.peers}
    for name, place in places.items():
        host, _, port = place.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
            raise RunError(f"{path}: broadcast.{name} must be HOST:PORT, got {short(place)!r}")
    if set(config.broadcast.peers) != set(config.peers):
        raise RunError(
            f"{path}: broadcast.peers must name the same agents as peers "
            f"({', '.join(sorted(config.peers)) or 'none'}), got "
            f"{', '.join(sorted(config.broadcast.peers)) or 'none'}"
        )

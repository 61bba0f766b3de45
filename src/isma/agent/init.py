"""`isma agent init`: a commented config for each agent, and certificates to try it with."""

from pathlib import Path

import msgspec

from isma.agent.config import Name, Port
from isma.agent.identity import Identity, Kind
from isma.errors import RunError, short

_TEMPLATE = """\
# Agent {name}: one edge server. `isma agent --config {name}.toml` runs it.

name = "{name}"                  # its certificate's DNS name is {name}.agent.isma
folder = "state/{name}"          # journal and snapshots on their way; never restore an old copy of it
# lease_s = 2.0                  # time for which a share is kept for a service that is on its way
# resend_s = 0.25                # time after which a message is said again

[listen]                         # requests: HTTP over mutual TLS 1.3
address = "127.0.0.1"
port = {port}

[tls]                            # PEM files; everybody needs a certificate of the same authority
certificate = "certificates/{name}.agent.isma.pem"
key = "certificates/{name}.agent.isma.key"
authority = "certificates/authority.pem"

[service]                        # the service beside the agent answers here (docs/agent/service.md)
socket = "{name}.sock"
# For a trial: python -m isma.agent.counter --socket {name}.sock --folder state/{name}-counter

[server]
cpu_hz = 2.0e10                  # CPU clock of the edge server
# decision_period_s = 1.0        # decision period D

[peers]                          # the other agents
{peers}
[broadcast]                      # what is left of the CPU, told to the others: QUIC, UDP
listen = "127.0.0.1:{port}"
# period_s = 0.5
# stale_s = 2.0                  # decisions that use older news say so

[broadcast.peers]
{radios}
# [cpu]                          # without it shares are promised, and not enforced
# enforce = "cgroup2"            # or "cgroup1"
# folder = "/sys/fs/cgroup/isma" # a group that this process may write; contexts get groups below it
# cores = 1.0                    # what a share of 1 stands for

# [policy]                       # without it users are served at the nearest server
# names = ["price", "isma2"]     # the last that answers in time decides
# scenario = "paper-migration"   # radio, backhaul, what a migration costs
# deadline_s = 0.5
# record = false                 # situations and proposals, to be asked again
# signer = "signer.pub"          # weights not of the package must be signed by it (isma agent keys, sign)
# shadow = false                 # ask and log only; users are served as without the table

# [limits]
# contexts = 1000                # services that are here or may come
# body_bytes = 65536
# snapshot_bytes = 67108864
# requests_per_s = 200.0         # of one user
# request_s = 10.0               # in which a certificate and a request must come and be answered
# connections = 1000             # at a time
"""


def write(
    folder: Path, agents: list[str], first_port: int, users: list[str], authority: bool
) -> list[str]:
    """Write a new folder; the files written, as lines of text. Raises RunError."""
    _check(folder, agents, first_port, users, authority)
    ports = {name: first_port + number for number, name in enumerate(agents)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in agents:
            peers = "".join(
                f'{other} = "https://127.0.0.1:{port}"\n'
                for other, port in ports.items()
                if other != name
            )
            radios = "".join(
                f'{other} = "127.0.0.1:{port}"\n' for other, port in ports.items() if other != name
            )
            text = _TEMPLATE.format(name=name, port=ports[name], peers=peers, radios=radios)
            (folder / f"{name}.toml").write_text(text)
        written = [f"{folder / name}.toml" for name in agents]
        return written + (_certificates(folder, agents, users) if authority else [])
    except OSError as error:
        raise RunError(f"{folder}: cannot be written: {error.strerror or error}") from None


def _certificates(folder: Path, agents: list[str], users: list[str]) -> list[str]:
    from isma.agent.authority import TestAuthority

    made = TestAuthority(folder / "certificates")
    identities = [Identity(Kind.AGENT, name) for name in agents]
    identities += [Identity(Kind.USER, name) for name in users]
    return [
        f"{made.issue(identity).certificate} (test, good for a week)" for identity in identities
    ]


def _check(
    folder: Path, agents: list[str], first_port: int, users: list[str], authority: bool
) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder} must be a new or empty folder: give another one")
    if users and not authority:
        raise RunError("--users must go with --test-authority: only that makes certificates")
    if not agents:
        raise RunError("--agents must be names separated by commas, got none")
    for names in (agents, users):
        if len(set(names)) < len(names):
            raise RunError(f"names must differ, got {short(', '.join(names), 100)}")
    for name in [*agents, *users]:
        try:
            msgspec.convert(name, Name)
        except msgspec.ValidationError:
            raise RunError(
                f"a name must be 1 to 40 of a-z, 0-9 and -, got {short(name)!r}"
            ) from None
    try:
        msgspec.convert(first_port, Port)
        msgspec.convert(first_port + len(agents) - 1, Port)
    except msgspec.ValidationError:
        raise RunError(f"--first-port must leave ports up to 65535, got {first_port}") from None

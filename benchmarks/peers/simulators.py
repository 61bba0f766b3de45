"""Other simulators: those that are installed, and the adapter of each."""

import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module, util
from importlib.metadata import PackageNotFoundError, version

from benchmarks.peers.walk import PeerReady, Walk


@dataclass(frozen=True)
class KnownPeer:
    """A simulator that the benchmark can drive, installed or not."""

    name: str
    package: str
    """Name to import, and of the distribution that has its version."""
    distribution: str
    adapter: str
    """Module in this folder."""
    install: str
    lacks: str
    """Features of ours that it does not model."""
    make: str = "ready"
    """Function of the adapter that sets up a run of a `Walk`."""


_EDGESIMPY = (
    "radio rates, tasks and their completion time, CPU shares, offload ratios, decision periods, "
    "limited sight; a batch of worlds. A user stands on a station, not between them"
)
KNOWN = (
    KnownPeer(
        "EdgeSimPy",
        "edge_sim_py",
        "edge_sim_py",
        "edgesimpy_follow",
        "pip install '.[sim-peers]', then EdgeSimPy/EdgeSimPy (1.1.0) from its repository, "
        "without what it asks for",
        _EDGESIMPY,
    ),
    KnownPeer(
        "EdgeSimPy, no log",
        "edge_sim_py",
        "edge_sim_py",
        "edgesimpy_follow",
        "as EdgeSimPy",
        _EDGESIMPY + ". Nothing that happens is recorded",
        "ready_without_log",
    ),
    KnownPeer(
        "YAFS",
        "yafs",
        "yafs",
        "yafs_follow",
        "pip install '.[sim-peers]', then acsicuib/YAFS (branch YAFS3) from its repository, "
        "without what it asks for",
        "radio rates, CPU shares, offload ratios, decision periods, limited sight; migration takes "
        "no time and has no state; mobility; a batch of worlds",
    ),
    KnownPeer(
        "LEAF",
        "leaf",
        "leafsim",
        "leaf_follow",
        "pip install '.[sim-peers]'",
        "radio rates, delays and queues, migration (a placement is undone and made anew), shared "
        "CPU, offload ratios, decision periods, limited sight, mobility; a batch of worlds",
    ),
    KnownPeer(
        "mobile-env",
        "mobile_env",
        "mobile-env",
        "mobile_env_follow",
        "pip install '.[sim-peers]'",
        "servers, tasks, backhaul and migration: a hand-over is all that follows; a batch of worlds",
    ),
)


@dataclass(frozen=True)
class Simulator:
    """A simulator of others that can run."""

    known: KnownPeer
    version: str
    ready: Callable[[Walk], PeerReady]


@dataclass(frozen=True)
class Missing:
    """A simulator of others that cannot."""

    name: str
    why: str
    install: str


def find(known: tuple[KnownPeer, ...] = KNOWN) -> tuple[list[Simulator], list[Missing]]:
    """The simulators that can run, and those that cannot. Their output is dropped."""
    found, missing = [], []
    for one in known:
        if util.find_spec(one.package) is None:
            missing.append(Missing(one.name, "not installed", one.install))
            continue
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                adapter = import_module(f"benchmarks.peers.{one.adapter}")
        except Exception as error:  # Another simulator's failure is no reason to measure nothing.
            why = f"{type(error).__name__}: {error}".splitlines()[0]
            missing.append(Missing(one.name, why, one.install))
            continue
        found.append(Simulator(one, _version(one.distribution), getattr(adapter, one.make)))
    return found, missing


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"

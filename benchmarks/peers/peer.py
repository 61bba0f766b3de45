"""Interface of a peer to the benchmark, and the peers that are there."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from isma.model.latent import Sizes
from isma.planning.cross_entropy import Budget

_MODULES = ("torchrl_cem", "mbrl_cem")
"""One module a peer, each with `make(sizes, budget)`."""


@dataclass(frozen=True)
class Peer:
    """Another library's planner, ready to run."""

    name: str
    versions: str
    plan: Callable[[], None]
    """One search with all its passes."""
    multiply_adds: int
    """Multiply-adds of one latent step of one candidate, to be held against ours."""


def find(sizes: Sizes, budget: Budget) -> tuple[list[Peer], list[str]]:
    """The peers that can run, and a line for each that cannot."""
    found, absent = [], []
    for name in _MODULES:
        try:
            found.append(import_module(f"benchmarks.peers.{name}").make(sizes, budget))
        except Exception as error:  # Another library's failure is no reason to measure nothing.
            why = f"{type(error).__name__}: {error}".splitlines()[0]
            absent.append(f"{name}: not measured: {why} (docs/benchmarks.md, Peers)")
    return found, absent

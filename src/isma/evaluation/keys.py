"""Keys of results: digests of all that a number depends on, and of nothing else.

Included: the world of that very point, with the bytes of its data files; the seed; the policy, with its
options, its code and its files; the modules of isma that it depends on, by their imports; and versions and
precision of the numerical libraries. Not included: the other points, seeds and policies of the run, a
scenario's name, and code that draws and prints.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from isma import sources
from isma.contract import Policy
from isma.policies import given
from isma.programs import Programs
from isma.simulator.runner import Runner
from isma.storage import digest
from isma.world.scenario import Scenario

_ROLLOUT, _STATE = "isma.simulator.rollout", "isma.simulator.state"
"""Modules of the programs that run a world, and that draw it."""
_VERSIONED = ("jax", "jaxlib", "numpy", "scipy")
_WORDS = ("name", "description")
"""Fields of a scenario that change no number."""


def key(*modules: str, **decides: Any) -> str:
    """Key of a result that these modules of isma compute from `decides`."""
    identity = {
        "code": sources.of_isma(*modules),
        "versions": _versions(),
        "device": jax.devices()[0].device_kind,
        "precision": str(jnp.zeros(()).dtype),
        **decides,
    }
    return digest(json.dumps(identity, sort_keys=True, default=str).encode())


@cache
def _versions() -> dict[str, str]:
    return {name: version(name) for name in _VERSIONED}


@dataclass(frozen=True)
class Keys:
    """Keys of a run's results. Files are read once, when they are first asked for."""

    given: Mapping[str, str | Policy] = field(default_factory=dict)
    """Policies under a user's own names: objects, or registered names."""
    _policies: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    _data: dict[str, str] = field(default_factory=dict)

    def cell(self, scenario: Scenario, policy: str, seed: int) -> str:
        """The key of a policy's cell in a world. Raises PolicyError."""
        return key(
            "isma.evaluation.cell",
            world=self._world(scenario),
            seed=seed,
            policy=self._policy(policy),
        )

    def world(self, scenario: Scenario, seed: int, *modules: str, **more: Any) -> str:
        """Key of a result that these modules compute from a world, independent of policies."""
        return key(*modules, world=self._world(scenario), seed=seed, **more)

    def decision_time(self, scenario: Scenario, policy: str) -> str:
        """The key of the time that a decision takes in worlds of that size. Raises PolicyError."""
        return key(
            "isma.simulator.timing", world=self._world(scenario), policy=self._policy(policy)
        )

    def runner(self, programs: Programs, policy: str | None, *modules: str) -> Runner:
        """Runner of a policy's worlds, or of these modules' programs, with programs that are stored.

        Programs of an object are not stored: its state may differ in another process.
        """
        draw_identity = {"code": sources.of_isma(_STATE)}
        if policy is not None and not isinstance(self.given.get(policy, policy), str):
            return Runner(programs, None, draw_identity)
        run_identity: dict[str, Any] = {"code": sources.of_isma(_ROLLOUT, *modules)}
        if policy is not None:
            run_identity["policy"] = self._policy(policy)
        return Runner(programs, run_identity, draw_identity)

    def _policy(self, name: str) -> Mapping[str, Any]:
        if name not in self._policies:
            self._policies[name] = given.identity(self.given.get(name, name))
        return self._policies[name]

    def _world(self, scenario: Scenario) -> dict[str, Any]:
        tree = scenario.model_dump(mode="json", exclude=set(_WORDS))
        for section in tree.values():
            if isinstance(section, dict) and isinstance(section.get("file"), str):
                section["file"] = self._bytes(section["file"])
                section.pop("sha256", None)
        return tree

    def _bytes(self, file: str) -> str:
        if file not in self._data:
            try:
                self._data[file] = digest(Path(file).read_bytes())
            except OSError:  # An unreadable file is reported where it is used.
                return file
        return self._data[file]

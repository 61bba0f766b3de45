"""Plan of a comparison: its points, policies and seeds, and the folder that holds it."""

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomli_w

from isma.contract import Policy
from isma.errors import PolicyError, RunError
from isma.evaluation.shard import Shard
from isma.policies import given
from isma.storage import BLANK, claimed, digest, refuse_taken, sealed
from isma.world import files
from isma.world.scenario import Scenario
from isma.world.vary import Point, points

MOST_VARIED = 2
_LONGEST_NAME = 60
_CONFIG, _WORD = "config.toml", "run"
"""File of a run that describes it, and the word for its content."""
SERVERS = "servers.count"
"""The varied field whose smallest value is sought that keeps a limit."""


@dataclass(frozen=True)
class CellKey:
    """Names a cell: which point, policy and seed."""

    point: int
    policy: str
    seed: int


@dataclass(frozen=True)
class Plan:
    """All that is needed to run a comparison again."""

    scenario: Scenario
    policies: tuple[str, ...]
    seeds: tuple[int, ...]
    vary: Mapping[str, tuple[Any, ...]]
    p95_limit_s: float | None = None
    """Time within which 95 % of tasks are to be done: how many servers does that take?"""
    given: Mapping[str, str | Policy] = field(default_factory=dict)
    """Policies under a user's own names: objects, or registered names."""
    shard: Shard | None = None
    """Part that is computed; None for the whole."""

    def __post_init__(self) -> None:
        """Refuse a plan that cannot be run."""
        if not self.policies:
            raise PolicyError("policies must name at least one, got none")
        if len(set(self.policies)) < len(self.policies):
            raise PolicyError(f"policies must differ, got {', '.join(self.policies)}")
        if not self.seeds:
            raise RunError("seeds must be at least 1, got 0")
        if len(self.vary) > MOST_VARIED:
            raise RunError(
                f"at most {MOST_VARIED} fields can be varied at once, got {len(self.vary)}"
            )
        if self.p95_limit_s is not None:
            self._limit_fits(self.p95_limit_s)

    def points(self) -> list[Point]:
        """Every combination of the varied fields' values."""
        return points(self.scenario, self.vary)

    def cells(self) -> Iterator[CellKey]:
        """Every cell, all policies of a world side by side before the next world."""
        for point in range(len(self.points())):
            for seed, policy in itertools.product(self.seeds, self.policies):
                yield CellKey(point, policy, seed)

    def made(self) -> dict[str, Policy]:
        """The policies by name. Raises PolicyError."""
        return {name: given.made(self.given.get(name, name)) for name in self.policies}

    def dumps(self) -> str:
        """The text of `config.toml`: the scenario, and a table `[run]` with the whole text's seal."""
        run = {
            "policies": list(self.policies),
            "seeds": list(self.seeds),
            "command": self.command(),
            files.SEAL: BLANK.decode(),
            **({files.GIVEN: self._given_in_words()} if self.given else {}),
            **({} if self.p95_limit_s is None else {"p95_limit_s": self.p95_limit_s}),
            **({} if self.shard is None else {files.SHARD: str(self.shard)}),
            "vary": {field: list(values) for field, values in self.vary.items()},
        }
        text = files.dumps(self.scenario) + "\n" + tomli_w.dumps({files.RUN: run})
        return sealed(text.encode()).decode()

    def _given_in_words(self) -> dict[str, str]:
        return {name: given.described(one) for name, one in self.given.items()}

    def command(self) -> str:
        """The command that makes this run again, from its folder."""
        return "isma compare config.toml"

    def refuse_taken(self, out: Path) -> None:
        """Refuse a folder that holds anything but a run of this scenario. Raises RunError."""
        refuse_taken(out, _CONFIG, self.dumps(), _WORD, files.RUN)

    def is_kept(self, out: Path) -> bool:
        """Whether a folder's file says the very same of the run that it holds."""
        try:
            return (out / _CONFIG).read_bytes() == self.dumps().encode()
        except OSError:
            return False

    def claimed(self, out: Path) -> AbstractContextManager[None]:
        """Hold a new folder, or one with a run of this scenario, for this process. Raises RunError."""
        return claimed(out, _CONFIG, self.dumps(), _WORD, files.RUN)

    def folder_name(self) -> str:
        """Default name of the run's folder: one for a scenario and its varied fields.

        Further policies, seeds and values reuse its results. A shard has a folder of its own.
        """
        described = "\n".join([files.dumps(self.scenario), *sorted(self.vary)])
        part = "" if self.shard is None else f"-{self.shard.number}-of-{self.shard.of}"
        return f"{_plain(self.scenario.name)}-{digest(described.encode())[:6]}{part}"

    def _limit_fits(self, limit_s: float) -> None:
        if not (math.isfinite(limit_s) and limit_s > 0):
            raise RunError(f"the limit of p95 must be a time above 0, got {limit_s:g} s")
        if SERVERS not in self.vary:
            raise RunError(
                f"a limit of p95 ({limit_s:g} s) needs numbers of servers to choose from: "
                "add --vary servers=20,50,100"
            )


def plan_of(folder: Path) -> Plan:
    """Plan of a run, or of a shard of one, that `isma compare` wrote. Raises IsmaError."""
    path = folder / _CONFIG
    if not path.is_file():
        raise RunError(f"{folder}: must be a run's folder with a config.toml, got none")
    run = files.run_table(path)
    if not run or not run.get("policies") or not run.get("seeds"):
        raise RunError(f"{path}: must be of a run, with policies and seeds in its table [run]")
    vary = {field: tuple(values) for field, values in run.get("vary", {}).items()}
    part = run.get(files.SHARD)
    return Plan(
        files.load(path, varied=vary),
        tuple(run["policies"]),
        tuple(run["seeds"]),
        vary,
        run.get("p95_limit_s"),
        shard=None if part is None else Shard.parse(part),
    )


def _plain(name: str) -> str:
    """A scenario's name as part of a folder's name, without separators or dots at its ends."""
    kept = re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip(".-")
    return kept[:_LONGEST_NAME] or "run"

"""Users on recorded trajectories, which make their service count and check its answers."""

import asyncio
import csv
import math
import time
from importlib import resources
from typing import NamedTuple

from isma.agent.config import Tls
from isma.agent.decisions import TaskRequest
from isma.client import Client

SITES_M = {"a": (-78.0, -45.0), "b": (78.0, -45.0), "c": (0.0, 90.0)}
"""Base stations, with an agent at each."""
Trajectory = list[tuple[float, float]]
_INTERVAL_S = 0.25
_AGAIN_EVERY = 20
"""Every n-th request is sent a second time, and must have the same answer."""
_PATIENCE_S = 60.0


class Count(NamedTuple):
    """A user's account."""

    acknowledged: int
    lost: int
    doubled: int


def trajectories() -> dict[str, Trajectory]:
    """Positions of each user, a second apart."""
    recorded: dict[str, Trajectory] = {}
    text = (resources.files("isma.demo") / "trajectories.csv").read_text()
    for row in csv.DictReader(text.splitlines()):
        recorded.setdefault(row["user"], []).append((float(row["x_m"]), float(row["y_m"])))
    return recorded


def station(position_m: tuple[float, float]) -> str:
    """The nearest base station's agent."""
    return min(SITES_M, key=lambda name: math.dist(SITES_M[name], position_m))


class User:
    """One user with its service, a counter."""

    def __init__(self, name: str, agents: dict[str, str], tls: Tls) -> None:
        self.name = name
        self.client = Client(name, agents, tls, _PATIENCE_S)
        self.outcomes: list[int] = []
        self.wrong_again = 0

    async def count(self, number: int) -> None:
        """Make the service count one more, now and then twice with the same key."""
        key = f"{self.name}-{number}"
        outcome = (await self.client.task(b'{"add": 1}', key))["count"]
        self.outcomes.append(outcome)
        if number % _AGAIN_EVERY == 0:
            again = (await self.client.task(b'{"add": 1}', key))["count"]
            self.wrong_again += again != outcome

    async def judge(self) -> Count:
        """Compare acknowledged counts with the service's state."""
        final = (await self.client.task(b'{"add": 0}', f"{self.name}-final"))["count"]
        await self.client.__aexit__()
        return account(self.outcomes, final, self.wrong_again)


def account(outcomes: list[int], final: int, wrong_again: int) -> Count:
    """Every acknowledged request counts one: a gap is a request done twice, a repetition one lost."""
    lost, doubled, before = 0, wrong_again, 0
    for outcome in [*outcomes, final + 1]:
        lost += max(before + 1 - outcome, 0)
        doubled += max(outcome - before - 1, 0)
        before = outcome
    return Count(len(outcomes), lost, doubled)


async def drive(user: User, trajectory: Trajectory, began_s: float, seconds: float) -> None:
    """Drive and count until the time has passed."""
    asked_at = -1
    number = 0
    while (elapsed_s := time.monotonic() - began_s) < seconds:
        second = min(int(elapsed_s), len(trajectory) - 1)
        request = TaskRequest(station(trajectory[second]), 4e6, 1e9, 1e9, 1.0)
        if not user.client.context:
            await user.client.begin(request.station, request, f"{user.name}-begin")
        elif second != asked_at:
            await user.client.request(request)
        asked_at, number = second, number + 1
        await user.count(number)
        await asyncio.sleep(_INTERVAL_S)

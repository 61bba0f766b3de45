# pyright: reportMissingImports=false
"""mobile-env: users on recorded trajectories, attached to the nearest station before they leave the last."""

import numpy as np
from mobile_env.core.base import MComCore
from mobile_env.core.entities import BaseStation, UserEquipment
from mobile_env.core.movement import Movement

from benchmarks.peers.walk import Counts, PeerReady, Walk


class _Recorded(Movement):
    """A user's next position is the recorded one."""

    def __init__(self, walk: Walk, **others):
        super().__init__(**others)
        self.walk = walk
        self.moment = np.zeros(walk.users, int)

    def move(self, ue: UserEquipment) -> tuple[float, float]:
        self.moment[ue.ue_id] += 1
        return tuple(self.walk.position_m[self.moment[ue.ue_id], ue.ue_id])

    def initial_position(self, ue: UserEquipment) -> tuple[float, float]:
        return tuple(self.walk.position_m[0, ue.ue_id])


class _World:
    """The environment, and the attachments so far."""

    def __init__(self, walk: Walk):
        config = MComCore.default_config() | {"EP_MAX_TIME": walk.steps, "movement": _Recorded}
        config["arrival_params"]["ep_time"] = walk.steps
        config["movement_params"]["walk"] = walk
        config["ue"]["snr_tr"] = 0.0  # Every station is within reach, as in our world.
        sites = enumerate(walk.site_m.tolist())
        stations = [BaseStation(number, tuple(site), **config["bs"]) for number, site in sites]
        users = [UserEquipment(number, **config["ue"]) for number in range(walk.users)]
        self.walk, self.env, self.moves = walk, MComCore(stations, users, config), 0
        self.observation, _ = self.env.reset()

    def go(self) -> None:
        """All steps, each with the observation, the reward and the metrics of the one before."""
        attached = self._attached()
        for step in range(self.walk.steps):
            action = _follow(attached, self.walk.station[step])
            self.observation, *_ = self.env.step(action)
            before, attached = attached, self._attached()
            self.moves += int(np.count_nonzero(attached & ~before))

    def _attached(self) -> np.ndarray:
        stations = len(self.walk.site_m)
        return self.observation.reshape(self.walk.users, -1)[:, :stations] > 0

    def counts(self) -> Counts:
        """By the environment's own record of users connected; the first attachment is no hand-over."""
        served = sum(self.env.monitor.scalar_results["number connected"])
        return Counts(int(served), self.moves - self.walk.users)


def _follow(attached: np.ndarray, station: np.ndarray) -> np.ndarray:
    """An action is one station whose connection is turned on or off, counted from 1; 0 is none."""
    users = np.arange(len(station))
    there = attached[users, station]
    old = attached.copy()
    old[users, station] = False
    let_go = np.where(old.any(axis=1), old.argmax(axis=1) + 1, 0)
    return np.where(there, let_go, station + 1)


def ready(walk: Walk) -> PeerReady:
    """An environment with our stations and users, driven by its own observations."""
    world = _World(walk)
    return PeerReady(world.go, world.counts)

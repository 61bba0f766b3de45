"""A PettingZoo learner: every server is an agent that learns by itself where to send its users.

Each keeps a table of preferences, by the user's base station and the server to go to, and follows the
gradient of its reward (REINFORCE). What they have learned is then a policy like any other.
"""

import argparse
from pathlib import Path

import numpy as np

import isma
from isma.policies.plain_python import Decision, PlainPolicy, ServerView


class Tables(PlainPolicy):
    """Sends each user to the server that its present one prefers for the user's station."""

    preferences: np.ndarray
    """By agent, station and server."""

    def decide(self, view: ServerView) -> Decision:
        """Share the CPU out by the root of the work, and offload so that both parts end together."""
        odds = self.preferences[view.server][view.station]
        asked, net = view.requests, view.infrastructure
        root_work = np.sqrt(asked.cycles)
        share = root_work / root_work.sum()
        local_s = asked.cycles / asked.local_hz
        work_s = asked.cycles / net.server_hz[view.server] / share
        ratio = np.round(10 * local_s / (local_s + work_s)) / 10
        return Decision(odds.argmax(axis=1), ratio, share)


def learn(episodes: int, duration_s: float, rate: float = 0.3, seed: int = 0) -> np.ndarray:
    """Preferences after so many episodes, in worlds that are set aside for training."""
    env = isma.parallel_env("paper", overrides={"duration_s": duration_s, "warmup_s": 0})
    draw = np.random.default_rng(seed)
    servers = len(env.possible_agents)
    # At first a server keeps who is at its own station, and sends others to theirs.
    preferences = np.tile(2 * np.eye(servers), (servers, 1, 1))
    usual = np.zeros(servers)
    for episode in range(episodes):
        observations, _ = env.reset(seed=1000 + episode)
        total, ticks = 0.0, 0
        while env.agents:
            actions, chosen = {}, {}
            for number, agent in enumerate(env.possible_agents):
                seen = observations[agent]
                station = np.asarray(seen["station"], int)
                odds = _softmax(preferences[number][station])
                server = (odds.cumsum(axis=1) > draw.random((len(station), 1))).argmax(axis=1)
                own = np.asarray(seen["own"], bool)
                chosen[number] = station[own], server[own], odds[own]
                actions[agent] = {
                    "server": server,
                    "offload_tenths": np.full(len(station), 9),
                    "cpu_share": np.full(len(station), 1 / max(own.sum(), 1), np.float32),
                }
            observations, rewards, *_ = env.step(actions)
            for number, agent in enumerate(env.possible_agents):
                station, server, odds = chosen[number]
                gain = rewards[agent] - usual[number]
                usual[number] += 0.05 * gain
                np.add.at(
                    preferences[number], (station, server), rate * gain / max(len(station), 1)
                )
                np.add.at(preferences[number], station, -rate * gain * odds / max(len(station), 1))
                total += rewards[agent]
            ticks += 1
        print(f"episode {episode}: mean reward {total / ticks / servers:.3f}")
    return preferences


def _softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def main(arguments: list[str] | None = None) -> isma.Run:
    """Learn, then compare."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--episodes", type=int, default=20)
    asked.add_argument("--duration", type=float, default=60.0, help="seconds of an episode")
    asked.add_argument("--seeds", type=int, default=3, help="worlds of the comparison")
    asked.add_argument("--out", type=Path, default=Path("runs/pettingzoo"))
    given = asked.parse_args(arguments)
    learned = Tables(learn(given.episodes, given.duration))
    run = isma.compare(
        isma.load_scenario("paper", {"duration_s": given.duration, "warmup_s": 0}),
        policies={"learned tables": learned, "random": "random", "nearest": "nearest"},
        seeds=given.seeds,
        out=given.out,
    )
    print("\n".join(run.findings))
    print(run.report)
    return run


if __name__ == "__main__":
    main()

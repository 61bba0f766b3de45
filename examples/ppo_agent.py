"""A PPO agent of stable-baselines3: trained on many worlds at once, then compared beside rules.

Needs stable-baselines3. A few minutes of training, as by default, make an agent that is better than
random choices, and not yet than `nearest`.
"""

import argparse
from pathlib import Path

import isma


def main(arguments: list[str] | None = None) -> isma.Run:
    """Train, then compare."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--steps", type=int, default=20_000)
    asked.add_argument("--worlds", type=int, default=16, help="worlds that are learned in at once")
    asked.add_argument("--duration", type=float, default=100.0, help="seconds of a world")
    asked.add_argument("--seeds", type=int, default=4, help="worlds of the comparison")
    asked.add_argument("--out", type=Path, default=Path("runs/ppo"))
    given = asked.parse_args(arguments)
    from stable_baselines3 import PPO

    from isma import agents

    city = isma.load_scenario("paper", {"duration_s": given.duration, "warmup_s": 5})
    worlds = agents.sb3_worlds(given.worlds, city, others="nearest", server=None, reward="world")
    model = PPO(
        "MlpPolicy",
        worlds,
        n_steps=32,
        batch_size=256,
        n_epochs=5,
        learning_rate=1e-3,
        gamma=0.9,
        seed=0,
        device="cpu",
    )
    model.learn(given.steps)
    run = isma.compare(
        city,
        policies={
            "ppo": agents.from_sb3(model, city),
            "random": "random",
            "nearest": "nearest",
            "price": "price",
        },
        seeds=given.seeds,
        out=given.out,
    )
    print(run.summary[["policy", "mean_s", "above_best_low", "above_best_high"]].to_string())
    print("\n".join(run.findings))
    print(run.report)
    return run


if __name__ == "__main__":
    main()

import numpy as np
import pytest

from isma import agents
from isma.environments.setting import TRAINING_WORLDS

WORLDS, STEPS, JUDGED = 32, 10 * 1024, 24


@pytest.mark.slow
def test_ppo_of_stable_baselines3_beats_random_in_worlds_it_has_not_seen() -> None:
    pytest.importorskip("stable_baselines3", reason="needs stable-baselines3: pip install '.[rl]'")
    from stable_baselines3 import PPO

    worlds = agents.sb3_worlds(WORLDS, "paper", overrides={"duration_s": 100})
    env = worlds.worlds

    def mean_s(act) -> np.ndarray:
        """Mean completion time of the learner's users in the worlds 0, 1, …, which are for tests."""
        observation, _ = env.reset(seed=list(range(WORLDS)))
        rewards = []
        for _ in range(JUDGED):
            observation, reward, *_ = env.step(act(observation))
            rewards.append(reward)
        return -np.mean(rewards, axis=0) * env.reward_unit_s

    env.action_space.seed(0)
    random_s = mean_s(lambda _: env.action_space.sample())
    learner = PPO(
        "MlpPolicy",
        worlds,
        n_steps=32,
        batch_size=256,
        n_epochs=5,
        learning_rate=1e-3,
        gamma=0.9,
        seed=TRAINING_WORLDS.start,
        device="cpu",
    )
    learner.learn(STEPS)
    # As it was trained: were it always to take the likeliest server, all users would go there.
    learned_s = mean_s(lambda seen: learner.predict(seen, deterministic=False)[0])
    gain_s = random_s - learned_s
    error_s = gain_s.std(ddof=1) / np.sqrt(WORLDS)
    print(f"random {random_s.mean():.2f} s, gain {gain_s.mean():.2f} ± {error_s:.2f} s")
    assert gain_s.mean() > 3 * error_s

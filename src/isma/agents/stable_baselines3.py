"""Agents of Stable-Baselines3: a trained model as a policy, and our worlds for its learners."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import spaces

from isma.agents.flat_agent import Answer, FlatAgent
from isma.environments.setting import Source
from isma.errors import PolicyError

if TYPE_CHECKING:
    from isma.agents.sb3_worlds import Sb3Worlds

_INSTALL = "pip install 'isma[rl]'"


def from_sb3(model: Any, scenario: Source = "paper", **options: Any) -> FlatAgent:
    """A policy by a model of Stable-Baselines3 that was trained in a flat environment of ours.

    `scenario` and `overrides` are those of that environment. Servers are drawn by the model's odds, as
    in its training, unless `sample=False`; `server` and `others` as `FlatAgent` has them. Raises
    IsmaError.
    """
    return FlatAgent(_answer(model), scenario, rows=_rows(model), **options)


class StableBaselines3(FlatAgent):
    """A saved model of Stable-Baselines3: `--policies isma.agents:StableBaselines3:model=FILE`.

    To load one is to unpickle it: name only files that you trust. Raises IsmaError.
    """

    def __init__(
        self,
        model: Path,
        algorithm: str = "PPO",
        scenario: str = "paper",
        sample: bool = True,
        server: int | None = None,
        others: str | None = None,
    ) -> None:
        loaded = _load(model, algorithm)
        super().__init__(
            _answer(loaded),
            scenario,
            rows=_rows(loaded),
            sample=sample,
            server=server,
            others=others,
        )


def sb3_worlds(num_envs: int, scenario: Source = "paper", **options: Any) -> "Sb3Worlds":
    """Many worlds as a vector environment of Stable-Baselines3, which takes no other library's.

    Options are those of `isma.environments.VectorServerEnv`, and `reward`: `"own"` for that
    environment's, `"world"` for the mean completion time of all users. Raises IsmaError.
    """
    _imported()
    from isma.agents.sb3_worlds import Sb3Worlds

    return Sb3Worlds(num_envs, scenario, **options)


def _imported() -> Any:
    try:
        import stable_baselines3  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise PolicyError(f"stable-baselines3 is not installed ({error}): {_INSTALL}") from None
    return stable_baselines3


def _load(model: Path, algorithm: str) -> Any:
    library = _imported()
    made = getattr(library, algorithm, None)
    if made is None or not hasattr(made, "load"):
        raise PolicyError(
            f"algorithm must be one of Stable-Baselines3, as PPO or A2C, got {algorithm!r}"
        )
    path = Path(model)
    if not path.is_file():
        raise PolicyError(f"model must be a file that {algorithm}.save wrote, got {path}")
    try:
        return made.load(path, device="cpu")
    except Exception as error:  # A damaged file may raise anything there.
        message = " ".join(f"{type(error).__name__}: {error}".split())
        raise PolicyError(f"{path}: cannot be read as a model of {algorithm}: {message}") from None


def _rows(model: Any) -> int:
    """Rows that a model decides for. Raises PolicyError."""
    space = getattr(model, "action_space", None)
    if not isinstance(space, spaces.MultiDiscrete) or not isinstance(
        model.observation_space, spaces.Box
    ):
        raise PolicyError(
            "the model must have been trained in an environment with flat=True (a Box of numbers, and a "
            f"MultiDiscrete of servers), got an action space {space}"
        )
    if hasattr(model.policy, "lstm_actor"):
        raise PolicyError("the model must not be recurrent: a flat agent remembers nothing")
    return len(space.nvec)


def _answer(model: Any) -> Answer:
    """Log-odds by the model's distribution; its likeliest choices where it has none of servers."""
    normaliser = model.get_vec_normalize_env()

    def answer(vectors: np.ndarray) -> np.ndarray:
        import torch  # pyright: ignore[reportMissingImports]

        if normaliser is not None:
            vectors = normaliser.normalize_obs(vectors)
        policy = model.policy
        policy.set_training_mode(False)
        if not hasattr(policy, "get_distribution"):
            return np.asarray(model.predict(vectors, deterministic=True)[0])
        with torch.no_grad():
            distribution = policy.get_distribution(policy.obs_to_tensor(vectors)[0]).distribution
        return np.stack([part.logits.cpu().numpy() for part in distribution], axis=1)

    return answer

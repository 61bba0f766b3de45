"""Learned policies by name: which checkpoint, which budget."""

import re
from functools import partial
from importlib import resources
from pathlib import Path

import jax.numpy as jnp

from isma.contract import Policy
from isma.errors import PolicyError
from isma.model import weights
from isma.model.frame import Frame
from isma.model.latent import Kind
from isma.model.outlook import LENGTHS_S, Outlook, OutlookFrame
from isma.planning.cross_entropy import PAPER, Budget
from isma.policies import dqn as dqns
from isma.policies import drac as dracs
from isma.policies.dwelling import PRIOR_S
from isma.policies.isma2 import Isma2
from isma.policies.latent import LatentPlanner

BUDGETS = {"default": Budget(64, 4, 10, 8), "paper": PAPER}
"""`default` is what two cores can run in a comparison; what it gives up is in docs/reproduction."""


SHIPPED = Path(str(resources.files("isma"))) / "checkpoints" / "paper"
"""Trained on the preset `paper` by `isma train MODEL` with nothing else."""
_RLSM, _SLSM, _DLSM = (SHIPPED / f"{kind}.safetensors" for kind in Kind)
ISMA2 = SHIPPED.parent / "isma2.safetensors"
"""Trained in worlds of several presets and of San Francisco (docs/isma2.md)."""
_DQN, _DRAC = (SHIPPED / f"{name}.safetensors" for name in ("dqn", "drac"))


def isma(checkpoint: Path = _RLSM, budget: str = "default") -> Policy:
    """The paper's algorithm: the recurrent latent space model, searched by cross-entropy."""
    return _planner(Kind.RLSM, checkpoint, budget)


def slsm(checkpoint: Path = _SLSM, budget: str = "default") -> Policy:
    """The paper's SLSM-based approach: only stochastic states."""
    return _planner(Kind.SLSM, checkpoint, budget)


def dlsm(checkpoint: Path = _DLSM, budget: str = "default") -> Policy:
    """The paper's DLSM-based approach: only deterministic states."""
    return _planner(Kind.DLSM, checkpoint, budget)


def dqn(checkpoint: Path = _DQN) -> Policy:
    """The paper's DQN-based approach, one request at a time."""
    return dqns.load(checkpoint)


def drac(checkpoint: Path = _DRAC) -> Policy:
    """A recurrent actor-critic with weights shared by users: the strong learned peer."""
    return dracs.load(checkpoint)


def isma2(
    checkpoint: Path = ISMA2,
    model: int = 1,
    prices: int = 1,
    segments: int = len(LENGTHS_S),
    stay_s: float = PRIOR_S,
    paths: int = 1,
) -> Policy:
    """Prices, and a plan along a learned outlook on where users are going; `model=0` is without that."""
    if model not in (0, 1):
        raise PolicyError(f"isma2: model must be 0 or 1, got {model}")
    outlook = outlook_of(checkpoint) if model else None
    return Isma2(
        outlook=outlook,
        prices=prices,
        segments=segments,
        stay_s=stay_s,
        paths=paths,
    )


def outlook_of(checkpoint: Path) -> Outlook:
    """The model in that file. Raises CheckpointError."""
    return weights.load_alone(checkpoint, "isma2", OutlookFrame)[1]


def budget_of(text: str) -> Budget:
    """A budget by name, or as IxJxKxQ. Raises PolicyError."""
    if text in BUDGETS:
        return BUDGETS[text]
    if not re.fullmatch(r"\d+x\d+x\d+x\d+", text):
        raise PolicyError(
            f"budget must be {', '.join(BUDGETS)} or candidates x iterations x horizon x elites, "
            f"as 1000x200x10x100, got {text!r}"
        )
    try:
        return Budget(*map(int, text.split("x")))
    except ValueError as error:
        raise PolicyError(f"budget {text}: {error}") from None


def _planner(kind: Kind, checkpoint: Path, budget: str) -> Policy:
    searched = budget_of(budget)
    frame, model, scales = weights.load(checkpoint, kind, partial(Frame, kind))
    return LatentPlanner(
        *(model, scales, searched, jnp.asarray(0.0)),
        *(frame.num_users, frame.num_servers, frame.separate),
    )

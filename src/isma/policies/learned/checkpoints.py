"""Learned policies by name: which checkpoint, which budget."""

import re
from collections.abc import Mapping
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

from isma.contract import Policy
from isma.errors import PolicyError
from isma.model import weights
from isma.model.forecast import ForecastFrame, ForecastModel
from isma.model.frame import Frame
from isma.model.latent import Kind
from isma.planning.cross_entropy import PAPER, Budget
from isma.policies.learned import dqn as dqns
from isma.policies.learned import drac as dracs
from isma.policies.learned import team
from isma.policies.learned.cross_entropy_planner import Search
from isma.policies.learned.known_physics import KnownPhysics
from isma.policies.learned.latent_planner import LatentPlanner
from isma.policies.options import check, fields_of, kinds, takes
from isma.policies.pricing.forecast_plan import Planned
from isma.policies.pricing.policy import Price

BUDGETS = {"default": Budget(200, 10, 0, 20), "paper": PAPER}
"""`default` plans one step, as far as an action matters where moves are free (docs/decisions/0031)."""


SHIPPED = Path(str(resources.files("isma"))) / "checkpoints" / "paper"
"""Trained on the preset `paper` by `isma train MODEL` with nothing else."""
_RLSM, _SLSM, _DLSM = (SHIPPED / f"{kind}.safetensors" for kind in Kind)
ISMA2 = SHIPPED.parent / "isma2.safetensors"
"""Trained in worlds of several presets and of San Francisco (docs/method/isma2.md)."""
_DQN, _DQN_LITERAL, _DRAC = (
    SHIPPED / f"{name}.safetensors" for name in ("dqn", "dqn-literal", "drac")
)
_IPPO, _MAPPO = (SHIPPED / f"{kind}.safetensors" for kind in (team.INDEPENDENT, team.CENTRAL))
_NOT_TYPED = ("budget", "exploration")
"""Fields of a search that are no options by themselves: a budget is typed by its name."""


@takes(Search, without=_NOT_TYPED)
def isma(checkpoint: Path = _RLSM, budget: str = "default", **options: Any) -> Policy:
    """The paper's algorithm: the recurrent latent space model, searched by cross-entropy."""
    return _planner("isma", Kind.RLSM, checkpoint, budget, options)


@takes(Search, without=_NOT_TYPED)
def slsm(checkpoint: Path = _SLSM, budget: str = "default", **options: Any) -> Policy:
    """The paper's SLSM-based approach: only stochastic states."""
    return _planner("slsm", Kind.SLSM, checkpoint, budget, options)


@takes(Search, without=_NOT_TYPED)
def dlsm(checkpoint: Path = _DLSM, budget: str = "default", **options: Any) -> Policy:
    """The paper's DLSM-based approach: only deterministic states."""
    return _planner("dlsm", Kind.DLSM, checkpoint, budget, options)


@takes(Search, without=_NOT_TYPED)
def known_physics(budget: str = "default", **options: Any) -> Policy:
    """Planner's search with equations (1) to (6) as its model: the worth of a perfect one-step model."""
    return KnownPhysics(_search("known-physics", budget, options))


def dqn(
    checkpoint: Path = _DQN, literal: bool = False, literal_checkpoint: Path = _DQN_LITERAL
) -> Policy:
    """The paper's DQN-based approach, one request at a time; `literal` is the literal reading of its text.

    Each reading has a checkpoint of its own. Raises PolicyError for one of the other reading.
    """
    path = literal_checkpoint if literal else checkpoint
    loaded = dqns.load(path)
    if loaded.literal is not literal:
        held, wanted = ("with", "without") if loaded.literal else ("without", "with")
        raise PolicyError(
            f"dqn: {path} was trained {held} literal=true, and is asked for {wanted} it: name it as "
            f"{'literal:literal_checkpoint' if loaded.literal else 'checkpoint'}=FILE"
        )
    return loaded


def drac(checkpoint: Path = _DRAC) -> Policy:
    """A recurrent actor-critic with weights shared by users: the strong learned peer."""
    return dracs.load(checkpoint)


def ippo(checkpoint: Path = _IPPO) -> Policy:
    """Servers that share one network, trained by independent PPO: each critic sees one server's view."""
    return team.load(team.INDEPENDENT, checkpoint)


def mappo(checkpoint: Path = _MAPPO) -> Policy:
    """Servers that share one network, trained by PPO with a critic that sees the users of all of them."""
    return team.load(team.CENTRAL, checkpoint)


@takes(Price, Planned, without=("valuation", "margin_on_hops", "forecast_model"))
def isma2(checkpoint: Path = ISMA2, model: bool = True, **options: Any) -> Policy:
    """Prices, and a plan along a learned forecast of users; `model=false` plans as if they stayed."""
    planned, search = fields_of(Planned, options)
    trained = forecast_model_of(checkpoint) if model else None
    return Price(valuation=Planned(forecast_model=trained, **planned), **search)


def forecast_model_of(checkpoint: Path) -> ForecastModel:
    """The model in that file. Raises CheckpointError."""
    return weights.load_alone(checkpoint, "isma2", ForecastFrame)[1]


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


def _planner(
    policy: str, kind: Kind, checkpoint: Path, budget: str, options: Mapping[str, Any]
) -> Policy:
    search = _search(policy, budget, options)
    frame, model, scales = weights.load(checkpoint, kind, partial(Frame, kind))
    return LatentPlanner(search, frame, model, scales)


def _search(policy: str, budget: str, options: Mapping[str, Any]) -> Search:
    stated = kinds(Search)
    for key, value in options.items():
        check(policy, key, value, stated[key])
    try:
        return Search(budget_of(budget), **options)
    except PolicyError as error:
        raise PolicyError(f"policy {policy!r}: {error}") from None

# pyright: reportMissingImports=false
"""TorchRL's `CEMPlanner` in a model-based environment around the PyTorch model."""

import tensordict
import torch
import torchrl
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torchrl.data import Composite, Unbounded
from torchrl.envs.model_based import ModelBasedEnvBase
from torchrl.modules import CEMPlanner

from benchmarks.peers.peer import Peer
from benchmarks.peers.torch_model import TorchRlsm
from isma.model.latent import Sizes
from isma.planning.cross_entropy import Budget

_BELIEF = ("hidden", "cell", "sample")


class _Imagined(ModelBasedEnvBase):
    """An environment whose state is a belief."""

    def __init__(self, model: TorchRlsm):
        step = TensorDictModule(model, in_keys=["action", *_BELIEF], out_keys=[*_BELIEF, "reward"])
        super().__init__(step, batch_size=torch.Size([]))
        shapes = zip(_BELIEF, (part.shape for part in model.start()), strict=True)
        self.observation_spec = Composite({name: Unbounded(shape) for name, shape in shapes})
        self.state_spec = self.observation_spec.clone()
        self.action_spec = Unbounded((model.sizes.action,))
        self.reward_spec = Unbounded((1,))

    def _reset(self, tensordict: TensorDict | None, **_: object) -> TensorDict:
        return TensorDict(dict(zip(_BELIEF, self.world_model.module.start(), strict=True)))


def make(sizes: Sizes, budget: Budget) -> Peer:
    """The planner with this budget."""
    model = TorchRlsm(sizes)
    planner = CEMPlanner(
        _Imagined(model),
        planning_horizon=budget.steps,
        optim_steps=budget.iterations + 1,
        num_candidates=budget.candidates,
        top_k=budget.elites,
    )
    start = TensorDict(dict(zip(_BELIEF, model.start(), strict=True)))

    def plan() -> None:
        with torch.no_grad():
            planner.planning(start)

    versions = (
        f"torchrl {torchrl.__version__}, tensordict {tensordict.__version__}, "
        f"torch {torch.__version__}"
    )
    return Peer("TorchRL CEMPlanner", versions, plan, model.multiply_adds())

# pyright: reportMissingImports=false
"""mbrl-lib's `TrajectoryOptimizer` with its `CEMOptimizer` over the PyTorch model."""

import mbrl
import numpy as np
import torch
from mbrl.planning import TrajectoryOptimizer
from omegaconf import OmegaConf
from torch import Tensor

from benchmarks.peers.peer import Peer
from benchmarks.peers.torch_model import TorchRlsm
from isma.model.latent import Sizes
from isma.planning.cross_entropy import Budget

_BOUND = 3.0
"""mbrl-lib searches a box: three standard deviations to either side."""


def make(sizes: Sizes, budget: Budget) -> Peer:
    """The optimiser with this budget, from Normal(0, I) clipped to its box."""
    model = TorchRlsm(sizes)
    config = OmegaConf.create(
        {
            "_target_": "mbrl.planning.CEMOptimizer",
            "num_iterations": budget.iterations + 1,
            "elite_ratio": budget.elites / budget.candidates,
            "population_size": budget.candidates,
            "alpha": 0.0,
            "device": "cpu",
            "lower_bound": "???",
            "upper_bound": "???",
            "return_mean_elites": True,
            "clipped_normal": True,
        }
    )
    ends = np.full(sizes.action, _BOUND)
    optimizer = TrajectoryOptimizer(config, -ends, ends, budget.steps, keep_last_solution=False)

    def score(actions: Tensor) -> Tensor:
        belief, total = model.start(len(actions)), torch.zeros(len(actions))
        for step in range(budget.steps):
            *belief, reward = model(actions[:, step], *belief)
            total += reward[:, 0]
        return total

    def plan() -> None:
        with torch.no_grad():
            optimizer.optimize(score)

    versions = f"mbrl {mbrl.__version__}, torch {torch.__version__}"
    return Peer("mbrl-lib CEMOptimizer", versions, plan, model.multiply_adds())

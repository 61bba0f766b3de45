# pyright: reportMissingImports=false
"""The paper's recurrent latent space model in PyTorch: the layers that imagining a future needs."""

import torch
from torch import Tensor, nn

from isma.model.latent import Sizes


class TorchRlsm(nn.Module):
    """An LSTM of stacked cells, the stochastic transition and the reward model; random weights.

    What a candidate remembers comes and goes with rows first: hidden and cell states of shape
    (rows, cells, width), the stochastic state of shape (rows, latent).
    """

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.sizes = sizes
        features = sizes.latent + sizes.memory
        self.lstm = nn.LSTM(sizes.latent + sizes.action, sizes.memory, sizes.cells)
        self.hidden = nn.Sequential(nn.Linear(sizes.memory, sizes.hidden), nn.Tanh())
        self.mean = nn.Linear(sizes.hidden, sizes.latent)
        self.std = nn.Linear(sizes.hidden, sizes.latent)
        self.reward = nn.Sequential(
            nn.Linear(features, sizes.hidden),
            nn.ReLU(),
            nn.Linear(sizes.hidden, sizes.reward_units),
            nn.ReLU(),
            nn.Linear(sizes.reward_units, max(sizes.reward_units, sizes.users)),
            nn.ReLU(),
        )

    def start(self, *rows: int) -> tuple[Tensor, Tensor, Tensor]:
        """The belief before the first observation: all zero."""
        memory = torch.zeros(*rows, self.sizes.cells, self.sizes.memory)
        return memory, torch.zeros_like(memory), torch.zeros(*rows, self.sizes.latent)

    def forward(
        self, action: Tensor, hidden: Tensor, cell: Tensor, sample: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Imagine one step: the new belief, and the reward of shape (rows, 1)."""
        before = (hidden.transpose(0, 1).contiguous(), cell.transpose(0, 1).contiguous())
        out, (hidden, cell) = self.lstm(torch.cat([sample, action], -1)[None], before)
        features = self.hidden(out[0])
        std = torch.sigmoid(self.std(features)).clamp(min=0.01)
        sample = torch.tanh(self.mean(features)) + std * torch.randn_like(std)
        rewards = self.reward(torch.cat([sample, out[0]], -1))[:, : self.sizes.users]
        reward = rewards.mean(-1, keepdim=True)
        return hidden.transpose(0, 1), cell.transpose(0, 1), sample, reward

    def multiply_adds(self) -> int:
        """Multiply-adds of one step of one candidate."""
        return sum(weight.numel() for weight in self.parameters() if weight.ndim == 2)

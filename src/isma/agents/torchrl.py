"""Modules of PyTorch and TorchRL as policies."""

from typing import Any

import numpy as np

from isma.agents.flat_agent import Answer, FlatAgent
from isma.environments.setting import Source
from isma.errors import PolicyError

_OBSERVATION, _ODDS, _ACTION = "observation", "logits", "action"


def from_torchrl(module: Any, scenario: Source = "paper", **options: Any) -> FlatAgent:
    """A policy by a module: a TensorDict module that reads `observation`, or any module on tensors.

    Of a TensorDict `logits` are read where it writes them, else `action`; a plain module gives
    log-odds, or whole numbers of servers. `scenario`, `overrides` and `rows` are those of the flat
    environment in which it was trained; other options as `FlatAgent` has them. Raises IsmaError.
    """
    return FlatAgent(_answer(module), scenario, **options)


def _answer(module: Any) -> Answer:
    try:
        import torch  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise PolicyError(f"torch is not installed ({error}): pip install 'isma[rl]'") from None
    if not isinstance(module, torch.nn.Module):
        raise PolicyError(f"a module of PyTorch is needed, got a {type(module).__name__}")
    reads = getattr(module, "in_keys", None)
    if reads is not None and list(reads) != [_OBSERVATION]:
        raise PolicyError(f"the module must read {_OBSERVATION!r} alone, it reads {list(reads)}")

    def answer(vectors: np.ndarray) -> np.ndarray:
        module.eval()
        seen = torch.as_tensor(vectors)
        with torch.no_grad():
            return _numbers(module(seen) if reads is None else _called(module, seen))

    return answer


def _called(module: Any, seen: Any) -> Any:
    from tensordict import TensorDict  # pyright: ignore[reportMissingImports]

    outputs = module(TensorDict({_OBSERVATION: seen}, batch_size=seen.shape[:1]))
    written = set(outputs.keys())
    for name in (_ODDS, _ACTION):
        if name in written:
            return outputs[name]
    raise PolicyError(
        f"the module must write {_ODDS!r} or {_ACTION!r}, it writes {sorted(map(str, written))}"
    )


def _numbers(tensor: Any) -> np.ndarray:
    array = tensor.detach().cpu().numpy()
    return array.astype(np.float32) if array.dtype.kind == "f" else array

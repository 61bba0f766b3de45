"""A training as a sequence of rounds: progress, metrics, and a state from which it resumes exactly.

After each round everything that the next ones depend on is in `state.safetensors`, in place at once:
a training killed at any moment resumes from its last round and ends with the same bytes.
"""

import json
import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
from jaxtyping import PyTree

from isma import storage
from isma.errors import CheckpointError, RunError
from isma.model import checkpoint
from isma.randomness import check_seeds
from isma.storage import digest
from isma.training.learner import Learner

_CONFIG, _STATE, _TIMES = "config.json", "state.safetensors", "times/rounds.jsonl"
_WORD = "training"
"""Content of a folder, in messages."""


@dataclass(frozen=True)
class Progress:
    """How far a training is."""

    done_steps: int
    total_steps: int
    label: str


Report = Callable[[Progress], None]


def refuse_taken(out: Path) -> None:
    """Refuse a folder that holds anything but a training, before worlds are laid out. Raises RunError."""
    storage.refuse_taken(out, _CONFIG, None, _WORD)


def run(
    learner: Learner,
    config: Mapping[str, Any],
    seed: int,
    out: Path,
    on_progress: Report = lambda progress: None,
) -> Path:
    """Train to the end, from the folder's last finished round on; the path of the checkpoint.

    Raises RunError for a folder that holds something else, and for a seed that is none.
    """
    check_seeds([seed])
    text = json.dumps(config, indent=2, default=str) + "\n"
    with storage.claimed(out, _CONFIG, text, _WORD):
        return _train(learner, config, digest(text.encode()), seed, out, on_progress)


def _train(
    learner: Learner,
    config: Mapping[str, Any],
    named: str,
    seed: int,
    out: Path,
    on_progress: Report,
) -> Path:
    key = jax.random.key(seed)
    start_key, rounds_key = jax.random.split(key)
    state, history = _resume(out, learner.start(start_key), named)
    for number in range(len(history), learner.rounds):
        began, done = time.perf_counter(), number * learner.steps_per_round

        def on_steps(steps: int, done: int = done, number: int = number) -> None:
            on_progress(
                Progress(
                    done + steps, learner.total_steps, f"round {number + 1} of {learner.rounds}"
                )
            )

        on_steps(0)
        round_key = jax.random.fold_in(rounds_key, number)
        state, new_metrics = learner.advance(state, number, round_key, on_steps)
        metrics = {name: float(value) for name, value in new_metrics.items()}
        steps = done + learner.steps_per_round
        _finite(metrics, steps)
        history.append({"step": steps, **metrics})
        checkpoint.save_state(out / _STATE, state, history, named)
        _log_time(out, steps, time.perf_counter() - began)
        _write_metrics(out, history)
    _write_metrics(out, history)
    description = {
        "isma": version("isma"),
        "seed": seed,
        "metrics": history[-1],
        "config": config,
    }
    return learner.finish(state, out, description)


def _finite(metrics: Mapping[str, float], steps: int) -> None:
    """End a training that diverges before its state is kept. Raises RunError."""
    lost = [name for name, value in metrics.items() if "loss" in name and not math.isfinite(value)]
    if lost:
        raise RunError(
            f"{lost[0]} is no longer a number after {steps} updates: "
            "try a smaller learning_rate or clip_norm (--option)"
        )


def _resume(out: Path, blank: PyTree, named: str) -> tuple[PyTree, list[dict[str, Any]]]:
    """The last state that is there; of two, the one before counts only if the last is gone."""
    path = out / _STATE
    before = checkpoint.state_before(path)
    latest = next((one for one in (path, before) if one.exists()), None)
    if latest is None:
        return blank, []
    try:
        return checkpoint.load_state(latest, blank, named)
    except CheckpointError as error:
        earlier = latest == path and before.exists()
        way_out = "go on from the round before" if earlier else "begin again"
        raise CheckpointError(f"{error}; remove {latest} to {way_out}") from None


def _log_time(out: Path, steps: int, wall_s: float) -> None:
    """Add a line on a round's time, apart from all that is the same bytes each time."""
    path = out / _TIMES
    try:
        path.parent.mkdir(exist_ok=True)
        with path.open("a") as log:
            log.write(json.dumps({"step": steps, "wall_s": wall_s}) + "\n")
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}") from None


def history(out: Path) -> list[dict[str, float]]:
    """A training's metrics, round by round."""
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def _write_metrics(out: Path, history: list[dict[str, Any]]) -> None:
    lines = "".join(json.dumps(line) + "\n" for line in history)
    storage.write_atomically(out / "metrics.jsonl", lines.encode())
    with suppress(ImportError):
        _write_board(out / "tensorboard", history)


def _write_board(folder: Path, history: list[dict[str, Any]]) -> None:
    """Write the metrics for TensorBoard, where a writer is installed."""
    from tensorboardX import SummaryWriter  # pyright: ignore[reportMissingImports]

    with SummaryWriter(str(folder), purge_step=int(history[-1]["step"])) as board:
        for line in history[-1:]:
            for name, value in line.items():
                if name != "step":
                    board.add_scalar(name, value, line["step"])

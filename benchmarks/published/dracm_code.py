"""The published code of DRACM's test itself, run in a process of its own: `run` asks for it, `main` is it.

This executes the checkout's code, and so is done only where it is asked for. Its environment imports `gym`,
of which Gymnasium has what is used, and `numba`, of which nothing is used.
"""

import json
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.published.checkout import file_of
from benchmarks.published.dracm_instance import REPOSITORY, SCRIPT, arguments_of
from isma.errors import RunError

_ENVIRONMENT = "environment/batch_migration_env.py"
_SOLUTIONS = ("optimal_solution", "no_migration_solution", "always_migration_solution")


class Published(NamedTuple):
    """Costs that the published code gives, in seconds, for the first traces of the test."""

    optimum_s: np.ndarray
    never_s: np.ndarray
    always_s: np.ndarray
    paid_always_s: np.ndarray
    """Sum of the environment's own rewards, with the sign turned, where the service always follows."""
    load: np.ndarray
    """traces × slots × servers: the loads that it drew."""


def run(source: Path, seed: int, traces: int) -> Published:
    """Published code on the first traces, all draws those of the seed. Raises DataError or RunError."""
    for name in (_ENVIRONMENT, *(f"policies/{name}.py" for name in _SOLUTIONS)):
        file_of(source, name, REPOSITORY)
    command = [sys.executable, "-B", "-m", __name__, str(source.resolve()), str(seed), str(traces)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"TQDM_DISABLE": "1"}
    )
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        last = (done.stderr.strip().splitlines() or ["nothing was printed"])[-1]
        raise RunError(f"the published code in {source} must run to its end, got: {last}")
    return Published(*(np.array(part) for part in json.loads(lines[-1])))


def main(source: Path, seed: int, traces: int) -> list[Any]:
    """Play the test as its sampler does, the service always following, and evaluate its own solutions."""
    import gymnasium

    sys.modules["gym"] = gymnasium
    sys.modules["numba"] = types.SimpleNamespace(jit=lambda *_, **__: lambda made: made)  # type: ignore[assignment]
    arguments = arguments_of((source / SCRIPT).read_text())
    os.chdir(source)
    sys.path.insert(0, str(source))
    from environment.batch_migration_env import (  # type: ignore[import-not-found]
        BatchMigrationEnv,
        EnvironmentParameters,
    )
    from policies import (  # type: ignore[import-not-found]
        always_migration_solution,
        no_migration_solution,
        optimal_solution,
    )

    np.random.seed(seed)
    env = BatchMigrationEnv(EnvironmentParameters(**arguments))
    env.reset()
    seen, rewards = [], []
    for _ in range(arguments["trace_length"]):
        seen.append(env.current_system_state())
        rewards.append(env.step([int(user) for user in seen[-1][:, 0]])[1])
    info, paid = np.stack(seen, axis=1)[:traces], -np.sum(rewards, axis=0)[:traces]
    solutions = (
        lambda one: optimal_solution.optimal_solution(env, one)[2],
        lambda one: no_migration_solution.no_migration_solution(env, [one]),
        lambda one: always_migration_solution.always_migration_solution(env, [one]),
    )
    solved = [[float(solution(one)) for one in info] for solution in solutions]
    return [*solved, paid.tolist(), info[:, :, 5:-2].tolist()]


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))

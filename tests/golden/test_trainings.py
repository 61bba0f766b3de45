"""Golden trainings: two rounds of every model, down to the bytes of its state and its weights.

A state holds weights, optimiser, experience and metrics, so that its bytes tell of all that a training does
and of the format that a later version has to resume. Each runs in a process of its own with XLA's default
flags: with the flags of the other tests a kernel's last bits depend on what it is compiled beside. Bytes hold
on the kind of machine that made them; names and shapes of what is stored hold everywhere. The file is not
rewritten: a training that is meant to go otherwise deletes it and says so.
"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.small_worlds import EVERYTHING, tiny
from safetensors.numpy import load_file
from test_golden import maker

from isma.training import models, session
from isma.world.scenario import Scenario

FILE = Path(__file__).parent / "trainings.json"
LATENT = {
    **{"random_worlds": 2, "scattered_worlds": 2, "planned_worlds": 2, "test_worlds": 2},
    **{"periods": 7, "length": 4, "updates": 2, "test_every": 1},
}
DQN = {"periods": 4, "width": 8, "worlds": 2, "updates": 2, "batch": 8, "kept_rounds": 2}
COSTLY = {"migration.kind": "cold", "migration.downtime_s": 0.5, "latency.per_hop_s": 0.1}
OPTIONS: dict[str, dict[str, Any]] = {
    "rlsm": LATENT,
    "rlsm separate": {**LATENT, "separate": True},
    "slsm": LATENT,
    "dlsm": LATENT,
    "dqn": DQN,
    "dqn literal": {**DQN, "literal": True},
    "drac": {"periods": 4, "width": 8, "worlds": 2, "epochs": 1, "minibatches": 2},
    "isma2": {
        **{"updates": 2, "worlds": 2, "test_worlds": 1, "periods": 20, "width": 8},
        **{"looks": 4, "anchors": 2, "rows": 14},
    },
}
ROUNDS = 2


def worlds_of(name: str) -> list[Scenario]:
    """Worlds to learn in; of isma2 two kinds, in one of which everything is switched on."""
    if name != "isma2":
        return [tiny(), tiny({"local_hz": "350 MHz"})]
    return [tiny(COSTLY), tiny({**COSTLY, "latency.per_hop_s": 1.0}), tiny(EVERYTHING)]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def found(name: str, out: Path) -> dict[str, Any]:
    model, options = name.split()[0], OPTIONS[name]
    learner = models.learner(model, worlds_of(name), None, options)
    learner = learner.for_steps(ROUNDS * learner.steps_per_round)
    path = session.run(learner, {"model": name}, 0, out)
    state = out / "state.safetensors"
    stored = {
        key: f"{array.dtype}{list(array.shape)}"
        for file in (state, path)
        for key, array in load_file(file).items()
    }
    layout = hashlib.sha256(json.dumps(sorted(stored.items())).encode()).hexdigest()
    return {
        "layout": layout,
        "state": sha256(state),
        "weights": sha256(path),
        "metrics": session.history(out)[-1],
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIONS)
def test_no_training_goes_otherwise(name: str, tmp_path: Path) -> None:
    path = os.pathsep.join([*sys.path, str(Path(__file__).parent)])
    plain = {key: value for key, value in os.environ.items() if key != "XLA_FLAGS"}
    done = subprocess.run(
        [sys.executable, __file__, name, str(tmp_path / "out")],
        env={**plain, "PYTHONPATH": path},
        check=True,
        stdout=subprocess.PIPE,
    )
    now, golden = json.loads(done.stdout), json.loads(FILE.read_text())
    kept = golden["runs"][name]
    assert now["run"]["layout"] == kept["layout"], "names and shapes of what is stored"
    assert now["run"]["metrics"].keys() == kept["metrics"].keys()
    if now["maker"] == golden["maker"]:
        assert now["run"] == kept


if __name__ == "__main__":
    print(json.dumps({"maker": maker(), "run": found(sys.argv[1], Path(sys.argv[2]))}))

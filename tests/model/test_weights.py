"""Trained networks as files: what is saved is loaded, and what is something else is refused."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest
from helpers import untrained_policies
from helpers.random_weights import random_weights
from helpers.small_worlds import SERVERS, at_random, decide

from isma.contract import Policy
from isma.errors import CheckpointError
from isma.model import checkpoint, weights
from isma.model.frame import Frame
from isma.model.latent import Kind
from isma.policies.learned import dqn, drac, team
from isma.policies.learned.dqn import DqnFrame
from isma.policies.learned.drac import DracFrame

Load = Callable[[Path], Policy]
KINDS: dict[str, tuple[Load, weights.NetworkFrame]] = {
    "dqn": (dqn.load, DqnFrame(SERVERS, 16)),
    "drac": (drac.load, DracFrame(16)),
    "mappo": (partial(team.load, "mappo"), team.TeamFrame("mappo", 16)),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def stored(folder: Path, kind: str) -> Path:
    _, frame = KINDS[kind]
    made = untrained_policies.named(kind)
    path = folder / f"{kind}.safetensors"
    weights.save(path, frame, made.network, made.scales, {"seed": 3})
    return path


def retold(path: Path, change: Callable[[dict], None]) -> None:
    told = checkpoint.about(path)
    change(told)
    checkpoint.tell(path, told)


@every_kind
def test_what_is_saved_is_loaded(kind: str, tmp_path: Path) -> None:
    load, made = KINDS[kind][0], untrained_policies.named(kind)
    path = stored(tmp_path, kind)
    again = load(path)
    for one, other in zip(jax.tree.leaves(made), jax.tree.leaves(again), strict=True):
        # Half precision: eleven bits.
        np.testing.assert_allclose(one, other, rtol=5e-4, atol=1e-6)
        assert one.dtype == other.dtype
    observation = at_random(0)
    one, other = decide(made, observation), decide(again, observation)
    assert np.mean(np.asarray(one.server == other.server)) > 0.5
    assert checkpoint.about(path)["seed"] == 3


@every_kind
def test_another_policys_weights_are_refused(kind: str, tmp_path: Path) -> None:
    load, made = KINDS[kind][0], untrained_policies.named(kind)
    other = next(name for name in KINDS if name != kind)
    with pytest.raises(CheckpointError, match=f"holds {other}, where {kind} is wanted"):
        load(stored(tmp_path, other))
    frame = Frame(Kind.RLSM, 2, 2, 1, False, 1.0)
    latent = tmp_path / "rlsm.safetensors"
    weights.save(latent, frame, random_weights(frame), made.scales, {})
    with pytest.raises(CheckpointError, match=f"holds rlsm, where {kind} is wanted"):
        load(latent)
    with pytest.raises(CheckpointError, match=f"holds {kind}, where rlsm is wanted"):
        weights.load(stored(tmp_path, kind), Kind.RLSM, partial(Frame, Kind.RLSM))


@every_kind
def test_damaged_files_are_refused(kind: str, tmp_path: Path) -> None:
    load = KINDS[kind][0]
    with pytest.raises(CheckpointError, match="cannot be read"):
        load(tmp_path / "nothing.safetensors")
    path = stored(tmp_path, kind)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(CheckpointError, match="digests differ"):
        load(path)


@every_kind
@pytest.mark.parametrize(
    "change",
    [
        lambda told: told.pop("frame"),
        lambda told: told.pop("scales"),
        lambda told: told["frame"].pop("kind"),
        lambda told: told["frame"].update(depth=3),
        lambda told: told["frame"].update(width="wide"),
        lambda told: told["scales"].pop("cycles"),
        lambda told: told["scales"].update(cycles="many"),
        lambda told: told.update(scales=[1, 2]),
        lambda told: told.update(frame=7),
    ],
)
def test_sidecars_that_tell_something_else_are_refused(
    kind: str, change: Callable[[dict], None], tmp_path: Path
) -> None:
    path = stored(tmp_path, kind)
    retold(path, change)
    with pytest.raises(CheckpointError, match=f"does not describe a network of {kind}"):
        KINDS[kind][0](path)


def test_weights_for_other_servers_are_refused(tmp_path: Path) -> None:
    path = stored(tmp_path, "dqn")
    retold(path, lambda told: told["frame"].update(num_servers=SERVERS + 1))
    with pytest.raises(CheckpointError, match=r"must have shape .* got"):
        dqn.load(path)

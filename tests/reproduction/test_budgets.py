"""The study of budgets: one decision, then nobody decides."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.small_worlds import tiny
from helpers.untrained_policies import planner

from isma.errors import RunError
from isma.model.latent import Kind
from isma.planning.cross_entropy import Budget
from isma.policies import registry
from isma.reproduction import budgets
from isma.simulator.rollout import run_chunk


@pytest.mark.slow
def test_one_server_decides_once() -> None:
    """Users of other servers keep what they have; the server's own may change at the first tick only."""
    made = planner(Kind.DLSM)
    params, states = budgets.moments(tiny(), made, 3)
    for moment in states:
        before = moment.state.placement
        first, memory, _ = run_chunk(params, made, moment.state, moment.memory, moment.key, 1)
        later, _, _ = run_chunk(params, made, first, memory, moment.key, 60)
        own = np.asarray(before.host == moment.server)
        assert own.any()
        for name in ("host", "offload_ratio", "requested_share"):
            at = [np.asarray(getattr(p, name)) for p in (before, first.placement, later.placement)]
            np.testing.assert_array_equal(at[0][~own], at[1][~own])
            np.testing.assert_array_equal(at[1], at[2])
        changed = np.asarray(before.requested_share) != np.asarray(first.placement.requested_share)
        assert changed[own].any()


@pytest.mark.slow
def test_the_study_writes_what_it_found(tmp_path: Path) -> None:
    """A budget against itself is nothing above; the search has a row for each pass."""
    made = planner(Kind.DLSM)
    small = Budget(candidates=8, iterations=2, horizon=2, elites=3)
    rules = {"stay": registry.get("stay")}
    table, figure = budgets.study(tiny(), made, {"a": (small, 3), "b": (small, 2)}, rules, tmp_path)
    assert table["states"].tolist() == [3, 2, 2]
    assert table["above_last"].tolist()[:2] == [0, 0]
    assert table["above_last"][2] != 0
    assert table["latent_steps"].tolist() == [72, 72, 0]
    passes = pd.read_csv(tmp_path / "search.csv")
    assert len(passes) == 3
    assert np.isfinite(passes.to_numpy()).all()
    assert figure.png_path.exists()
    assert (pd.read_csv(tmp_path / "budgets.csv")["mean_s"] > 0).all()


@pytest.mark.slow
def test_a_study_goes_on_and_is_not_mistaken_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, small = planner(Kind.DLSM), Budget(candidates=8, iterations=1, horizon=2, elites=3)
    budgets.study(tiny(), made, {"a": (small, 2)}, {}, tmp_path)
    first, second = sorted((tmp_path / "states").iterdir())
    before = second.read_bytes()
    second.write_bytes(first.read_bytes())  # The other state's: told, and reckoned again.
    done: list[int] = []
    worth_s = budgets.worth_s
    monkeypatch.setattr(budgets, "worth_s", lambda *given: done.append(1) or worth_s(*given))
    table, _ = budgets.study(tiny(), made, {"a": (small, 2)}, {}, tmp_path)
    assert (len(done), second.read_bytes()) == (1, before)
    values = [json.loads(path.read_text())["value"] for path in (first, second)]
    assert table["mean_s"][0] == pytest.approx(np.mean(values), rel=1e-5)
    with pytest.raises(RunError, match="another study"):
        budgets.study(tiny(), made, {"a": (small, 3)}, {}, tmp_path)

"""What a comparison adds where a scenario goes beyond the paper: columns, and a bound that holds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.small_worlds import tiny

from isma.evaluation.comparison.compare import compare
from isma.evaluation.comparison.tables import Run
from isma.evaluation.plan import Plan
from isma.evaluation.report import page

COSTLY = {"migration.kind": "cold", "coverage_radius_m": 150}


def run(folder: Path, overrides: dict[str, Any], policies: tuple[str, ...], **vary: Any) -> Run:
    made = compare(Plan(tiny(overrides), policies, (0,), vary), folder / "run")
    page.write(made)
    return Run.load(made)


@pytest.mark.slow
def test_downtime_is_a_column_where_migrations_cost(tmp_path: Path) -> None:
    found = run(tmp_path, COSTLY, ("stay", "random"))
    scores = {row.policy: row for row in found.standing(())}
    assert scores["stay"].downtime_s_per_user_hour == 0
    assert 600 < scores["random"].downtime_s_per_user_hour <= 3600
    text = (found.folder / "report.html").read_text()
    assert "Downtime" in text
    assert "time for which a user&#39;s service stood still" in text


@pytest.mark.slow
def test_it_is_empty_at_points_where_they_are_free(tmp_path: Path) -> None:
    kinds = ("free", "cold")
    found = run(tmp_path, {"coverage_radius_m": 150}, ("nearest",), **{"migration.kind": kinds})
    down = {point[0]: found.standing(point)[0].downtime_s_per_user_hour for point in found.points}
    assert np.isnan(down["free"])
    assert down["cold"] > 0


def test_a_paper_run_has_none_of_it(tmp_path: Path) -> None:
    found = run(tmp_path, {}, ("nearest",))
    assert "downtime_s_per_user_hour" not in found.summary.columns
    assert "Downtime" not in (found.folder / "report.html").read_text()


@pytest.mark.slow
def test_what_a_forecast_weighs_is_a_column_and_in_the_report(tmp_path: Path) -> None:
    found = run(tmp_path, COSTLY, ("nearest", "isma2"))
    scores = {row.policy: row for row in found.standing(())}
    assert np.isnan(scores["nearest"].forecast_weight)
    assert 0 <= scores["isma2"].forecast_weight <= 1
    assert "how far forecasts have been borne out" in (found.folder / "report.html").read_text()


@pytest.mark.slow
def test_energy_is_in_the_report(tmp_path: Path) -> None:
    found = run(tmp_path, {"energy.enabled": True}, ("nearest",))
    assert found.standing(())[0].energy_j_per_task > 0
    assert "J per task" in (found.folder / "report.html").read_text()

"""The shipped forecast model against simple predictors, in worlds that it was not trained in."""

import jax.numpy as jnp
import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks import commands, forecasts
from benchmarks.forecasts import Skills
from isma.errors import RunError
from isma.policies.learned.checkpoints import ISMA2, forecast_model_of

PRESETS = ("highway", "paper-migration")


@pytest.fixture(scope="module")
def skills() -> Skills:
    return forecasts.measure(forecast_model_of(ISMA2), presets=PRESETS)


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_hops_and_hand_overs_are_forecast_better_than_by_simple_means(
    skills: Skills, preset: str
) -> None:
    """From 6 s on, up to half a minute: what `isma2` plans with."""
    rows = [row for row in skills.skills if row.preset == preset and 6 <= row.ahead_s <= 30]
    for row in rows:
        if row.quantity in ("hops to a server", "hand-over"):
            assert row.other is not None
            assert row.model < min(row.last_value, row.other), row


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_forecasts_are_calibrated(skills: Skills, preset: str) -> None:
    (found,) = (row for row in skills.calibrations if row.preset == preset)
    assert found.leaves_error < 0.05
    assert found.price_90 == pytest.approx(0.9, abs=0.07)
    assert found.channel_90 == pytest.approx(0.9, abs=0.07)


def test_errors_by_hand() -> None:
    came, model, last = jnp.array([1.0, 0.0]), jnp.array([0.5, 0.5]), jnp.zeros(2)
    assert forecasts.root_mean_squares([[came, model, last]]) == pytest.approx([0.5, np.sqrt(0.5)])
    assert forecasts.brier_scores([[came, model, last]]) == pytest.approx([0.25, 0.5])


def test_both_tables_have_a_line_for_each_row() -> None:
    one = forecasts.Skill("highway", "price", 2.0, "RMS error", 0.1, 0.2, None)
    other = forecasts.Skill("highway", "hand-over", 6.0, "Brier score", 0.1, 0.2, 0.15)
    calibrated = forecasts.Calibration("highway", 0.5, 0.9, 0.48, 0.88, 0.01)
    text = forecasts.as_text(Skills((one, other), (calibrated,)))
    assert text.count("highway") == 3
    assert "0.1500" in text
    assert '"model": 0.1' in forecasts.as_json(Skills((one, other), (calibrated,)))


def test_the_former_name_of_the_command_is_refused_with_the_new_one() -> None:
    result = CliRunner().invoke(commands.app, ["outlook"])
    assert isinstance(result.exception, RunError)
    assert "is now called forecast" in str(result.exception)

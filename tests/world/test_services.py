"""Classes of services: those of the package, one's own, and mistakes."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from isma.errors import ScenarioError
from isma.simulator.params import build
from isma.simulator.state import reset
from isma.world import files, services

MIX = [
    {"use": "interactive-vision", "weight": 3},
    {"use": "batch", "name": "heavy", "interval_s": ["1 s", "2 s"]},
]


def test_every_class_of_the_package_can_be_used() -> None:
    assert services.class_names() == ["batch", "interactive-vision", "video-analytics"]
    for name in services.class_names():
        made = files.load("paper", {"services": [{"use": name}]}).services[0]
        assert (made.name, made.weight) == (name, 1)


def test_fields_beside_a_class_override_it_and_all_comes_back(tmp_path: Path) -> None:
    mixed = files.load("paper", {"services": MIX})
    assert [service.name for service in mixed.services] == ["interactive-vision", "heavy"]
    assert mixed.services[1].interval_s == (1, 2)
    assert mixed.services[1].cycles_per_bit == (200, 10_000)
    assert mixed.services[0].data_bits == (420 * 8000, 420 * 8000)
    path = tmp_path / "mixed.toml"
    path.write_text(files.dumps(mixed))
    assert files.load(path) == mixed


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        ([{"use": "batc"}], "unknown class of services 'batc': did you mean 'batch'?"),
        (
            [{"name": "x", "interval_s": 1, "data_bits": 1}],
            "cycles or cycles_per_bit must be given",
        ),
        (
            [{"use": "batch", "cycles": 1}],
            "cycles or cycles_per_bit must be given for 'batch', not",
        ),
        ([{"use": "batch", "weight": 0}], "services.weight must be greater than or equal to"),
        (
            [{"use": "batch", "interval_s": "0.1 ms"}],
            "interval_s of 'batch' must be at least time.",
        ),
        (
            [{"use": "batch", "data_bits": [2, 1]}],
            "services.data_bits must be [low, high] with low",
        ),
        ([{"use": "batch", "wieght": 3}], "unknown field 'services.wieght': did you mean"),
        ([{"interval_s": 1}], "services.name must be given"),
        (3, "services must be a valid tuple, got 3"),
    ],
)
def test_mistakes_are_told_in_one_line(listed: Any, said: str) -> None:
    with pytest.raises(ScenarioError) as told:
        files.load("paper", {"services": listed})
    assert said in str(told.value)
    assert "\n" not in str(told.value)


def test_users_draw_a_class_by_weight_and_ask_for_what_it_asks_for() -> None:
    """Three of four have 420 KB and 1e9 cycles, the others 0.05 to 5 MB of 200 to 10,000 cycles a bit."""
    params = build(files.load("paper", {"services": MIX, "users.count": 4000}))
    assert params.shape.tasks_per_tick == 1
    state = jax.jit(reset)(params, jax.random.key(0))
    bits, cycles = (np.asarray(v, float) for v in (state.requests.data_bits, state.requests.cycles))
    interval_s = np.asarray(state.requests.interval_s)
    vision = bits == 3.36e6
    assert vision.mean() == pytest.approx(0.75, abs=0.03)
    np.testing.assert_allclose(cycles[vision], 1e9, rtol=1e-6)
    assert np.all((interval_s[vision] >= 0.4999) & (interval_s[vision] <= 2.0001))
    density = cycles[~vision] / bits[~vision]
    assert np.all((density > 199.9) & (density < 10_001))
    assert density.mean() == pytest.approx(5100, rel=0.06)
    assert np.all((bits[~vision] >= 0.4e6 * 0.999) & (bits[~vision] <= 40e6 * 1.001))
    assert abs(np.corrcoef(density, bits[~vision])[0, 1]) < 0.1
    assert np.all((interval_s[~vision] >= 0.9999) & (interval_s[~vision] <= 2.0001))
    np.testing.assert_allclose(
        interval_s, np.asarray(state.emission.interval_slots) * 0.001, rtol=1e-5
    )

"""A finished run in Python: figures by name, a page for a notebook, and exports."""

import re
from pathlib import Path

import numpy as np
import pytest
from helpers import made_up_runs

import isma
from isma.errors import IsmaError
from isma.evaluation.report.run import Run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run.load(made_up_runs.write(tmp_path_factory.mktemp("made")))


def test_figures_are_known_by_name_and_drawn_once(finished: Run) -> None:
    delay = finished.figures["delay"]
    drawn = delay.png_path.stat().st_mtime_ns
    again = Run.load(finished.folder).figures
    assert list(again) == list(finished.figures)
    assert again["delay"] == delay
    assert delay.png_path.stat().st_mtime_ns == drawn
    png, size = delay._repr_png_()
    assert png.startswith(b"\x89PNG")
    assert size["width"] > 0


def test_a_notebook_shows_findings_table_and_figures(finished: Run) -> None:
    html = finished._repr_html_()
    assert "<code>price</code> is fastest" in html
    assert html.count("<tr>") == 1 + len(finished.policies)
    assert "30.82" in html
    assert html.count("data:image/png;base64,") == 2
    assert "<code>load</code>" in html
    assert repr(finished).endswith("8 seeds)")


def test_scores_are_the_bound_over_the_mean(finished: Run) -> None:
    scores = finished.to_rliable()
    assert set(scores) == set(finished.policies)
    assert scores["price"].shape == (8, 1)
    row = finished.seeds[finished.seeds["policy"] == "price"].sort_values("seed").iloc[2]
    assert scores["price"][2, 0] == pytest.approx(row["bound_s"] / row["mean_s"])
    assert np.all(scores["price"] > scores["random"])


def test_results_as_an_array_with_names(finished: Run) -> None:
    pytest.importorskip("xarray")
    found = finished.to_xarray()
    assert dict(found.sizes) == {"policy": len(finished.policies), "seed": 8}
    row = finished.seeds.query("policy == 'stay' and seed == 3").iloc[0]
    assert found["mean_s"].sel(policy="stay", seed=3).item() == row["mean_s"]
    assert found["mean_s"].attrs["units"] == "s"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"vary": {"speed_mps": "10,20"}}, "speed_mps must have a list of values, as"),
        ({"vary": {"speed_mps": 5}}, "speed_mps must have a list of values, as"),
        ({"seeds": "3"}, "seeds must be a number of worlds or a list of seeds, got '3'"),
        ({"seeds": 1.5}, "seeds must be a number of worlds or a list of seeds, got 1.5"),
        ({"policies": "pric"}, "unknown policy 'pric': did you mean 'price'"),
        ({"scenario": {"users": {"cuont": 3}}}, "unknown field 'users.cuont'"),
    ],
)
def test_what_is_no_list_is_told(asked: dict, said: str, tmp_path: Path) -> None:
    with pytest.raises(IsmaError, match=re.escape(said)):
        isma.compare(**{"scenario": "paper", "out": tmp_path / "none", **asked})
    assert not (tmp_path / "none").exists()

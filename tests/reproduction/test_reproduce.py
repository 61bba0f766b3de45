"""A reproduction from nothing: what it writes, that it says the same again, and that its page opens."""

from pathlib import Path

import pandas as pd
import pytest
from helpers.headless_browser import needs_chromium, opens_offline

from isma import api
from isma.reproduction import run
from isma.reproduction.result import Result
from isma.reproduction.run import FIGURES, TRAININGS
from isma.reproduction.scale import SCALES

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Result]]:
    folder = tmp_path_factory.mktemp("smoke")
    return api.reproduce("all", "smoke", folder / "smoke")


def test_every_claim_has_its_row_and_every_figure_its_picture(
    smoke: tuple[Path, list[Result]],
) -> None:
    folder, results = smoke
    claims = pd.read_csv(folder / "claims.csv")
    assert claims["figure"].unique().tolist() == list(FIGURES)
    for figure, rows in claims.groupby("figure"):
        assert rows["claim"].nunique() >= len(FIGURES[str(figure)].claims)
    assert set(claims["remote_price_s"].dropna()) == {0.0, 30.0}
    assert set(claims["dqn"].dropna()) == {"dqn", "dqn:literal"}
    assert set(claims["verdict"]) <= {"reproduced", "same order", "not reproduced"}
    for result in results:
        assert result.picture.png_path.stat().st_size > 20_000
        table = pd.read_csv(folder / result.figure.name / f"{result.figure.name}.csv")
        # Nine learned policies, two rules and the reference, at two x values, in two worlds.
        assert len(table) == 12 * 2 * 2
        assert (table["mean_s"] > 0).all()


def test_the_same_seed_gives_the_same_claims(
    smoke: tuple[Path, list[Result]], tmp_path: Path
) -> None:
    folder, _ = smoke
    # Figures by themselves are judged on the same models.
    again, _ = api.reproduce("fig4", "smoke", tmp_path / "again")
    of_figure = pd.read_csv(folder / "claims.csv").query("figure == 'fig4'").reset_index(drop=True)
    pd.testing.assert_frame_equal(pd.read_csv(again / "claims.csv"), of_figure)


def test_models_that_were_trained_before_are_taken(
    smoke: tuple[Path, list[Result]], tmp_path: Path
) -> None:
    folder, _ = smoke
    out, _ = api.reproduce("fig4", "smoke", tmp_path / "out", models=folder / "models")
    assert not (out / "models").exists()
    of_figure = pd.read_csv(folder / "claims.csv").query("figure == 'fig4'").reset_index(drop=True)
    pd.testing.assert_frame_equal(pd.read_csv(out / "claims.csv"), of_figure)


def test_models_in_the_repository_are_those_that_the_figures_ask_for() -> None:
    scale, given = SCALES["reduced"], Path(__file__).parents[2] / "reproduction/reduced/models"
    for training in TRAININGS.values():
        path = run.trained(scale, "paper", training, Path("none"), given, lambda progress: None)
        assert path.is_file()


def test_the_figures_vary_any_scenario(tmp_path: Path) -> None:
    """Where a migration stops the service, delays are others than where it is free."""
    folder, results = api.reproduce("fig4", "smoke", tmp_path / "stops", scenario="paper-migration")
    assert results[0].figure.scenario({}).migration.kind == "cold"
    assert "paper-migration" in (folder / "reproduction.html").read_text()


@needs_chromium
def test_the_page_opens_with_the_network_off(
    smoke: tuple[Path, list[Result]], tmp_path: Path
) -> None:
    opens_offline(smoke[0] / "reproduction.html", tmp_path)

"""Examples as they stand in examples/: each runs, small, in an empty folder."""

import json
import runpy
import sys
import types
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def main_of(name: str) -> Any:
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"]


def test_every_example_is_listed_and_tried() -> None:
    names = {path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".ipynb")}
    page, tests = (EXAMPLES / "README.md").read_text(), Path(__file__).read_text()
    assert len(names) == 5
    assert [name for name in names if f"]({name})" not in page] == []
    assert [name for name in names if f'"{Path(name).stem}' not in tests] == []


def test_a_city_is_imported_and_compared() -> None:
    run = main_of("your_city")(["--duration", "120", "--policies", "nearest,stay"])
    assert set(run.policies) == {"nearest", "stay"}
    assert run.config["mobility"]["kind"] == "trace"
    assert len(run.sites) == 8
    assert run.report.is_file()


def test_a_notebooks_cells_compare_their_own_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a kernel: the class is one of no file all the same."""
    cells = json.loads((EXAMPLES / "your_policy.ipynb").read_text())["cells"]
    code = "\n".join(cell["source"] for cell in cells if cell["cell_type"] == "code")
    code = code.replace("SECONDS, SEEDS = 120, 3", "SECONDS, SEEDS = 20, 1")
    sizes = '"users.count": 7, "sites.count": 3, "speed_mps": 150'
    small = f'{{"duration_s": SECONDS, "warmup_s": 5, {sizes}}}'
    assert '{"duration_s": SECONDS}' in code
    code = code.replace('{"duration_s": SECONDS}', small)
    notebook = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", notebook)
    exec(compile(code, "<cell>", "exec"), vars(notebook))
    run = vars(notebook)["run"]
    assert run.policies == ["patient", "hasty", "nearest", "price"]
    assert run.config["run"]["given"]["patient"] == "an object of __main__:Patient"
    rows = run.summary.set_index("policy")["mean_s"]
    assert rows["patient"] != rows["hasty"], "its field counts"
    assert "<code>price</code>" in run._repr_html_()


def test_servers_that_learn_by_themselves_are_compared() -> None:
    small = ["--episodes", "1", "--duration", "4", "--seeds", "1"]
    run = main_of("pettingzoo_learner")(small)
    assert run.policies == ["learned tables", "random", "nearest"]


@pytest.mark.slow
def test_figure_4_is_run_again() -> None:
    folder = main_of("figure_4")([])
    assert (folder / "claims.csv").is_file()


@pytest.mark.slow
def test_an_agent_of_stable_baselines3_is_trained_and_compared() -> None:
    pytest.importorskip("stable_baselines3", reason="needs stable-baselines3: pip install '.[rl]'")
    run = main_of("ppo_agent")(["--steps", "512", "--duration", "20", "--seeds", "1"])
    assert "ppo" in run.policies

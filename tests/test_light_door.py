"""What importing costs, counted in modules: who asks for help, an equation or a policy gets no more."""

import json
import subprocess
import sys
from typing import Any

import pytest
from typer.testing import CliRunner

import isma
from isma.cli.main import COMMANDS, app

HEAVY = {"matplotlib", "networkx", "pandas", "pyarrow", "pyproj", "scipy"}
STAGES = (
    "import isma",
    "import isma.cli.main",
    "import isma.cli.compare",
    "import isma.delay",
    "from isma.policies import registry",
)
ASK = f"""
import json, sys
found = []
for stage in {STAGES!r}:
    exec(stage)
    found.append(sorted(sys.modules))
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def loaded() -> dict[str, set[str]]:
    """Modules after each stage, one after the other in a fresh process."""
    told = subprocess.run([sys.executable, "-c", ASK], capture_output=True, check=True, text=True)
    return dict(zip(STAGES, map(set, json.loads(told.stdout)), strict=True))


def test_nothing_that_decides_loads_tables_maps_graphs_or_figures(
    loaded: dict[str, set[str]],
) -> None:
    for stage, modules in loaded.items():
        assert not modules & HEAVY, stage


def test_the_command_line_waits_for_no_arrays(loaded: dict[str, set[str]]) -> None:
    """The version, the help and a command's own help are told without jax."""
    assert "jax" not in loaded["import isma.cli.compare"]


@pytest.mark.parametrize(("stage", "most"), [("import isma", 8), ("import isma.delay", 40)])
def test_little_of_isma_is_loaded(loaded: dict[str, set[str]], stage: str, most: int) -> None:
    """Of more than 200 modules."""
    assert sum(name.partition(".")[0] == "isma" for name in loaded[stage]) <= most


@pytest.mark.parametrize("name", sorted(isma.__all__))
def test_every_name_is_there_when_it_is_asked_for(name: str) -> None:
    assert getattr(isma, name) is not None
    assert name in dir(isma)


def test_packages_are_not_shadowed() -> None:
    assert isma.policies.rules.greedy.Greedy is isma.registry.RULES["greedy"]
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = isma.nothing


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_each_says(name: str) -> None:
    told = " ".join(CliRunner().invoke(app, [name, "--help"], terminal_width=200).output.split())
    assert COMMANDS[name].help in told


def test_a_command_that_does_not_exist_has_a_nearest() -> None:
    result: Any = CliRunner().invoke(app, ["compar"])
    assert result.exit_code == 2
    assert "Did you mean 'compare'" in result.output

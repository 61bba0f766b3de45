"""What counts as the code of a policy: everything that it is made of, and nothing else."""

import ast
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from isma import source_text, sources
from isma.errors import PolicyError
from isma.policies.pricing.policy import Price
from isma.policies.rules.follow import Nearest

RULE = "from isma.policies.rules.follow import Stay\n"
KINDS = {
    "helper": ({"helper.py": "X = 1"}, "from ideas import helper\n"),
    "relative": ({"helper.py": "X = 1"}, "from .helper import X\n"),
    "deeper": (
        {"helper.py": "from . import far\nX = 1", "far.py": "Y = 1"},
        "from .helper import X\n",
    ),
    "late": ({"helper.py": "X = 1"}, "def later():\n    from . import helper\n"),
    "by a function": (
        {"helper.py": "X = 1"},
        "import importlib\nhelper = importlib.import_module('ideas.helper')\n",
    ),
    "held": (
        {"helper.py": "class X: pass"},
        "import importlib\nX = importlib.import_module('.'.join(['ideas', 'helper'])).X\n",
    ),
    "subpackage": ({"sub/__init__.py": "", "sub/helper.py": "X = 1"}, "import ideas.sub.helper\n"),
    "its package": (
        {"sub/__init__.py": "Y = 1", "sub/helper.py": "X = 1"},
        "import ideas.sub.helper\n",
    ),
    "weights": ({"weights.npz": "X"}, "WEIGHTS = 'weights.npz'\n"),
    "weights in a folder": (
        {"data/w.npy": "1"},
        "from pathlib import Path\nW = Path(__file__).parent / 'data' / 'w.npy'\n",
    ),
    "weights joined": (
        {"data/more/w.npy": "1"},
        "import os\nW = os.path.join(os.path.dirname(__file__), 'data', 'more', 'w.npy')\n",
    ),
    "weights by a computed name": (
        {"w-3.npy": "1"},
        "from pathlib import Path\nW = Path(__file__).with_name(f'w-{1 + 2}.npy')\n",
    ),
    "weights of a folder": (
        {"data/deep/w-3.npy": "1"},
        "from pathlib import Path\nW = list((Path(__file__).parent / 'data').rglob('*'))\n",
    ),
    "weights of a helper": (
        {"helper.py": "W = 'data/w.csv'", "data/w.csv": "1"},
        "from ideas import helper\n",
    ),
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ideas").mkdir()
    return tmp_path / "ideas"


def forget() -> None:
    """As in a new process."""
    for name in [name for name in sys.modules if name.split(".")[0] in ("ideas", "bases")]:
        del sys.modules[name]
    importlib.invalidate_caches()


def code(files: dict[str, str], place: Path) -> dict[str, str]:
    for name, text in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    forget()
    return dict(sources.of_policy(importlib.import_module("ideas.rule").Mine))


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_a_policy_is_made_of_counts(kind: str, place: Path) -> None:
    """Each file but the policy's own is changed alone; a note beside them changes nothing."""
    files, imports = KINDS[kind]
    rule = f"{RULE}{imports}class Mine(Stay):\n    pass\n"
    first = code({"__init__.py": "", **files, "rule.py": rule}, place)
    assert code({"note.py": "Z = 1", "other.npz": "1"}, place) == first
    for name, text in files.items():
        assert code({name: f"{text}\n# changed\n"}, place) != first, name
        assert code({name: text}, place) == first
    assert code({"rule.py": f"{rule}# changed\n"}, place) != first


def test_a_run_in_a_folder_that_the_code_names_is_no_part_of_it(place: Path) -> None:
    """Else no result would be found again: each run would change the keys of the next."""
    rule = (
        f"{RULE}WORDS = 'run', 'data', '*.npz', '.', '..', '/', '*'\nclass Mine(Stay):\n    pass\n"
    )
    first = code({"__init__.py": "", "rule.py": rule, "run/.lock": "", "data/w": "1"}, place)
    assert code({"run/summary.csv": "1", "data/__pycache__/w.pyc": "1"}, place) == first
    assert code({"../run/summary.csv": "1"}, place) == first
    assert code({"data/new": "1"}, place) != first


def test_files_of_the_machine_are_no_part_of_the_code(place: Path) -> None:
    """/proc/cpuinfo tells the clock of the moment on many machines: no result would be found again."""
    rule = f"{RULE}WORDS = '/proc/cpuinfo', '/proc/self/stat'\nclass Mine(Stay):\n    pass\n"
    found = code({"__init__.py": "", "rule.py": rule}, place)
    assert not [name for name in found if "/proc" in name]
    assert not [name for name in sources.of_isma("isma.programs") if ": " in name]


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("ISMA_CACHE", str(tmp_path / "cache"))
    source_text.forget()
    yield tmp_path / "cache"
    source_text.forget()


def test_texts_are_read_once_for_all_processes(
    empty_cache: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = f"{RULE}from .helper import X\nW = 'w.npz'\nclass Mine(Stay):\n    pass\n"
    first = code({"__init__.py": "", "helper.py": "X = 1", "w.npz": "1", "rule.py": rule}, place)
    source_text.forget()
    with monkeypatch.context() as patch:
        patch.setattr(ast, "parse", lambda content: pytest.fail(f"parsed: {content[:40]}"))
        assert code({}, place) == first
    changed = f"{rule}from . import more\n"
    assert code({"more.py": "Y = 1", "rule.py": changed}, place).keys() - first.keys()


@pytest.mark.parametrize("damage", ["cut", "changed", "no JSON", "another's"])
def test_kept_texts_that_are_not_whole_are_read_again(
    damage: str, empty_cache: Path, place: Path
) -> None:
    rule = f"{RULE}from . import helper\nclass Mine(Stay):\n    pass\n"
    first = code({"__init__.py": "", "helper.py": "X = 1", "rule.py": rule}, place)
    (kept,) = (empty_cache / "sources").iterdir()
    content = kept.read_bytes()
    damaged = content.replace(b".helper", b".hedger")
    assert damaged != content
    kept.write_bytes(
        {"cut": content[:99], "changed": damaged, "no JSON": b"?"}.get(damage, damaged)
    )
    kept.chmod(0o666 if damage == "another's" else 0o600)
    source_text.forget()
    assert code({}, place) == first


def test_base_classes_count_wherever_they_are(place: Path) -> None:
    base = f"{RULE}class Base(Stay):\n    pass\n"
    rule = "from bases import Base\nclass Mine(Base):\n    pass\n"
    first = code({"__init__.py": "", "rule.py": rule, "../bases.py": base}, place)
    assert code({"../bases.py": f"{base}# changed\n"}, place) != first


def test_code_that_has_changed_since_it_was_imported_is_refused(place: Path) -> None:
    """What would run is not what is there: its results must not be kept as those of what is there."""
    (place / "__init__.py").write_text("")
    (place / "helper.py").write_text("X = 1")
    forget()
    (place / "rule.py").write_text(f"{RULE}from . import helper\nclass Mine(Stay):\n    pass\n")
    kind = importlib.import_module("ideas.rule").Mine
    first = sources.of_policy(kind)
    assert sources.of_policy(kind) == first
    (place / "helper.py").write_text("X = 2222")
    with pytest.raises(PolicyError, match=r"helper\.py has changed since it was imported"):
        sources.of_policy(kind)
    importlib.reload(sys.modules["ideas.helper"])
    assert sources.of_policy(kind) != first


def test_a_module_that_has_moved_is_not_left_out_of_a_key() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"no module isma\.evaluation\.kept"):
        sources.of_isma("isma.evaluation.cell", "isma.evaluation.kept")


def test_a_cell_depends_on_the_simulator_and_not_on_what_tells_of_it() -> None:
    cell = set(sources.of_isma("isma.evaluation.cell"))
    assert {
        "isma.simulator.step",
        "isma.simulator.serve",
        "isma.world.mobility",
        "isma.delay",
    } <= cell
    assert "isma.world.splits: splits.toml" in cell
    apart = (
        "isma.cli",
        "isma.evaluation.report.page",
        "isma.evaluation.report.findings",
        "isma.training",
        "isma.api",
    )
    assert not [name for name in cell if name.startswith(apart)]
    assert "isma.policies.pricing.policy" not in cell
    assert "isma.policies.pricing.policy" in sources.of_policy(Price)
    assert "isma.policies.pricing.policy" not in sources.of_policy(Nearest)


def test_a_page_depends_on_its_template_and_what_it_is_made_with() -> None:
    """Else a finished run would keep the page of another version."""
    found = set(sources.of_isma("isma.evaluation.report.page", "isma.watch.replays"))
    assert "isma.evaluation.report.page: templates/report.html.j2" in found
    assert "isma.watch.page: static/app.js" in found
    assert not [name for name in found if "__pycache__" in name]

"""Packaging: bounds that were tried, one version everywhere, nothing that only Unix has."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import isma

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
UNIX_ONLY = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
BESIDE_SERVERS = ("agent", "demo")
"""Packages that run on Linux alone, where the edge agent does."""


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported_at_once(tree: ast.Module) -> Iterator[str]:
    """Modules that are imported as soon as a module is, and not when a function is called."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_lower_bounds_are_those_of_the_versions_tried() -> None:
    lines = (line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines())
    tried = {plain(name): version for name, version in lines}
    asked = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["agent"]]
    for one in asked:
        name, _, least = one.partition(";")[0].partition(">=")
        assert tried[plain(name)].split(".")[:2] == least.split("."), one


def test_one_version_is_told_everywhere() -> None:
    told = [PROJECT["version"], isma.__version__]
    told += re.findall(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    told += re.findall(r"version = \{(.+)\}", (ROOT / "README.md").read_text())
    assert told == [isma.__version__] * 4


def test_types_are_shipped() -> None:
    assert (ROOT / "src/isma/py.typed").is_file()
    assert "Typing :: Typed" in PROJECT["classifiers"]


def test_commands_import_nothing_that_only_unix_has() -> None:
    sources = ROOT / "src/isma"
    found = {
        str(path.relative_to(sources)): names
        for path in sources.rglob("*.py")
        if path.relative_to(sources).parts[0] not in BESIDE_SERVERS
        and (names := UNIX_ONLY & set(imported_at_once(ast.parse(path.read_text()))))
    }
    assert not found
    assert set(imported_at_once(ast.parse("import os\nfrom fcntl import flock"))) & UNIX_ONLY


def test_no_index_of_packages_is_named() -> None:
    texts = [
        (ROOT / name).read_text() for name in ("pyproject.toml", "constraints.txt", "Makefile")
    ]
    assert not [text for text in texts if re.search(r"index-url|https?://", text)]

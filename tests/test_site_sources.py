"""Sources of the documentation's site: pages on shelves, equations beside their code, vendored libraries."""

import hashlib
import re
import tomllib
from pathlib import PurePath

import pytest
from test_docs import ROOT, defines, pages

SITE = ROOT / "docs" / "site"
CONFIG = (ROOT / "mkdocs.yml").read_text()
MADE_OF_CODE = re.compile(r"^<!-- (?::::|source:) isma\.(\S+) -->$", re.MULTILINE)
METHOD = ("allocation", "bounds", "isma2", "simulation")
NOT_COMPUTED = {"A continuous ratio, for intuition"}
"""Sections whose equations no code uses, as they say."""


def sections_without_code(text: str) -> list[str]:
    """Headings of sections that hold an equation, and no source of what computes it."""
    sections = re.split(r"^##+ ", text, flags=re.MULTILINE)[1:]
    return [
        section.splitlines()[0]
        for section in sections
        if "```math" in section and "<!-- source: " not in section
    ]


def on_a_shelf(page: str) -> bool:
    """Whether the navigation names a page, or a folder that it is in."""
    places = (page, *(f"{folder}/" for folder in PurePath(page).parents))
    return any(re.search(rf"[:-] {re.escape(place)}$", CONFIG, re.MULTILINE) for place in places)


def test_every_page_is_on_a_shelf() -> None:
    own = ("docs/", "examples/")
    published = [page for page in pages() if "/" not in page or page.startswith(own)]
    assert not [page for page in published if not on_a_shelf(page)]
    assert not on_a_shelf("docs/" + "absent.md")


def test_what_is_made_of_the_code_exists() -> None:
    named = [name for page in pages() for name in MADE_OF_CODE.findall((ROOT / page).read_text())]
    assert len(named) > 30
    assert not [name for name in named if not defines(ROOT / "src/isma", name.split("."))]


@pytest.mark.parametrize("page", METHOD)
def test_an_equation_stands_beside_its_code(page: str) -> None:
    text = (ROOT / f"docs/method/{page}.md").read_text()
    assert "```math" in text
    assert set(sections_without_code(text)) <= NOT_COMPUTED


def test_a_planted_equation_is_found() -> None:
    assert sections_without_code("# A\n## B\n```math\nx\n```\n## C\n") == ["B"]


def test_vendored_libraries_are_as_published() -> None:
    told = tomllib.loads((SITE / "vendor.toml").read_text())
    for file in told["file"]:
        content = (SITE / "assets" / file["name"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == file["sha256"]
        assert "ermission" in (SITE / "assets" / file["license_file"]).read_text()
    styles = (SITE / "assets/katex/katex.min.css").read_text()
    fonts = set(re.findall(r"fonts/([\w-]+\.woff2)", styles))
    assert fonts == {path.name for path in (SITE / "assets/katex/fonts").iterdir()}

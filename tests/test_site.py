"""The documentation's site, built strictly: it loads nothing from outside, and its search finds."""

import html
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.headless_browser import CHROMIUM, needs_chromium, opens_offline

ROOT = Path(__file__).parents[1]
LOADED = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*?\ssrc=\"?([^\"\s>]+)"
    r"|<link\b[^>]*?\shref=\"?([^\"\s>]+)|url\(\"?'?([^)\"']+)"
)
OUTSIDE = re.compile(r"^(?:\w+:)?//")
FOUND = re.compile(r'<a href="([^"]+)" class="md-search-result__link"')

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the built pages."""
    for needed in ("mkdocs", "material", "mkdocstrings"):
        pytest.importorskip(needed, reason="the site needs the extra `docs`")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def loaded(folder: Path) -> Iterator[str]:
    """Addresses from which pages and their styles load something."""
    for kind in ("*.html", "*.css"):
        for file in folder.rglob(kind):
            yield from (next(filter(None, one)) for one in LOADED.findall(file.read_text()))


def address(page: str) -> str:
    """Place of a page in the site."""
    return page.replace("README.md", "index.md").replace(".md", ".html")


def search(page: Path, words: str, scratch: Path) -> list[str]:
    """Pages and sections that the search of an opened page lists, best first."""
    opened = f"{page.as_uri()}?q={words.replace(' ', '%20')}"
    done = subprocess.run(
        [
            *(str(CHROMIUM), "--headless", "--no-sandbox", "--no-first-run", "--disable-gpu"),
            *("--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={scratch}"),
            *("--virtual-time-budget=20000", "--dump-dom", opened),
        ],
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
    )
    links = (html.unescape(link) for link in FOUND.findall(done.stdout))
    return [re.sub(r"\?[^#]*", "", link).removeprefix(page.parent.as_uri() + "/") for link in links]


def test_no_page_loads_anything_from_outside(site: Path) -> None:
    found = list(loaded(site))
    assert len(found) > 100
    assert not [one for one in found if OUTSIDE.match(one)]


@needs_chromium
@pytest.mark.parametrize("page", ["README.md", "docs/planning.md", "docs/method/isma2.md"])
def test_a_page_opens_offline(site: Path, page: str, tmp_path: Path) -> None:
    opens_offline(site / address(page), tmp_path)


@needs_chromium
def test_the_search_finds_the_switch_for_migration_cost(site: Path, tmp_path: Path) -> None:
    found = search(site / "index.html", "migration cost", tmp_path)
    assert f"{address('docs/scenarios.md')}#migration-migration-cost" in found[:8]

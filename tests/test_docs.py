"""Documents: every link leads somewhere, and every file and module they name exists."""

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"\]\(([^)\s]+)\)")
NUMBERED = re.compile(r"\[[^\]]*\b(\d{4})\]\((?:[^)]*/)?(\d{4})-[^)]*\)")
"""Link to a decision or a page of the log by its number."""
CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
PATH = re.compile(r"[\w.-]*(?:/[\w.-]+)+/?|[\w-]+\.(?:py|md)")
"""Shape of a path within the repository, or of a source or a page by its name alone."""
IN_PROSE = re.compile(r"(?<![\w/.-])(?:docs|tests|regimes|src/isma)/[\w./-]*\w")
"""Paths that docstrings and comments name."""
PACKAGES = "|".join(sorted(path.name for path in (ROOT / "src/isma").iterdir() if path.is_dir()))
MODULE = re.compile(rf"\b(?:isma|(?<!\.)(?:{PACKAGES}))(?:\.\w+)+")
"""Module of this package or a name in one, also without the package's name before it."""
FOLDERS = ("", "src/isma", "src", "tests", "docs")
"""Folders from which a path may be named, beside that of the page."""
WRITTEN = ("runs/", "state/", "ideas/", "times/", "figures/", "tensorboard/", ".pytest_cache/")
"""Folders that commands write, or that a reader makes."""
OTHERS = {
    "moves/user/h",
    "a/b",
    "cpu.folder/CONTEXT",
    "epfl/mobility",
    "../shared/data",
    "regimes/city.toml",
}
"""Names with a slash that are no files of the repository."""
ENVIRONMENT = re.compile(r"isma/\w+-v\d")
"""Gymnasium's ids of environments look like paths."""

PRIVATE = re.compile(r"\b(?:reckon\w*|foretell\w*|foretold|by lot|lived|whoever)\b", re.IGNORECASE)
"""Words for which the field has a term (docs/glossary.md); the research log maps them at its top."""
DATED = ("CHANGELOG.md", "docs/research/", "docs/decisions/")
"""Pages that say what was so at their time."""


@cache
def tracked() -> tuple[str, ...]:
    """Files of the repository, also those not committed yet."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return tuple(name for name in out.splitlines() if (ROOT / name).is_file())


def pages() -> list[str]:
    return [name for name in tracked() if name.endswith(".md")]


def headings(text: str) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    lines = re.findall(r"^#+ (.+)$", FENCED.sub("", text), re.MULTILINE)
    kept = (re.sub(r"[^\w\- ]", "", re.sub(r"\]\([^)]*\)", "", line)) for line in lines)
    return {line.strip().lower().replace(" ", "-") for line in kept}


def broken_links(page: str, text: str) -> Iterator[str]:
    """Relative links of a page that lead nowhere."""
    for link in LINK.findall(FENCED.sub("", text)):
        path, _, anchor = link.partition("#")
        if "://" in link or link.startswith("mailto:"):
            continue
        target = (ROOT / page).parent / path if path else ROOT / page
        found = target.resolve().exists()
        anchors = headings(target.read_text()) if found and anchor and path else headings(text)
        if not found or (anchor and anchor not in anchors):
            yield f"{page}: {link}"


def exists(page: str, name: str) -> bool:
    """Whether a file or folder of that name is where a reader of the page would look."""
    if "/" not in name:
        return any(Path(found).name == name for found in tracked())
    places = [(ROOT / page).parent, *(ROOT / folder for folder in FOLDERS)]
    return any((place / name).exists() for place in places)


def missing_files(page: str, text: str) -> Iterator[str]:
    """Files in backticks that do not exist."""
    for code in CODE.findall(FENCED.sub("", text)):
        name = code.removeprefix("./")
        if not PATH.fullmatch(name) or ENVIRONMENT.fullmatch(name) or name in OTHERS:
            continue
        if name.startswith("/"):  # A place of a server.
            continue
        if not name.startswith(WRITTEN) and not exists(page, name):
            yield f"{page}: {code}"


def missing_modules(page: str, text: str) -> Iterator[str]:
    """Modules and names in them, of this package or its tests, that do not exist."""
    for name in {found for code in CODE.findall(text) for found in MODULE.findall(code)}:
        parts = name.removeprefix("isma.").split(".")
        file = parts[-1] in ("csv", "html")
        if not file and not any(defines(ROOT / root, parts) for root in ("src/isma", "tests")):
            yield f"{page}: {name}"


def defines(folder: Path, parts: list[str]) -> bool:
    """Whether a folder of modules has a module of these parts, or one with a name of the next part."""
    path, rest = folder, parts
    while rest and ((path / rest[0]).is_dir() or (path / f"{rest[0]}.py").is_file()):
        path, rest = path / rest[0], rest[1:]
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    named = source.is_file() and rest and re.search(rf"\b{rest[0]}\b", source.read_text())
    return not rest or bool(named)


def missing_in_source(name: str, text: str) -> Iterator[str]:
    """Paths in docstrings and comments that do not exist; a decision may be named by its number."""
    for path in IN_PROSE.findall(text):
        decision = list(ROOT.glob(f"{path}-*.md"))
        if path not in OTHERS and not decision and not (ROOT / path).exists():
            yield f"{name}: {path}"


def test_every_link_leads_somewhere() -> None:
    found = [link for page in pages() for link in broken_links(page, (ROOT / page).read_text())]
    assert not found


def test_a_link_by_number_leads_to_that_number() -> None:
    found = [pair for page in pages() for pair in NUMBERED.findall((ROOT / page).read_text())]
    assert found
    assert not [pair for pair in found if pair[0] != pair[1]]


def test_every_file_and_module_in_backticks_exists() -> None:
    texts = {page: (ROOT / page).read_text() for page in pages() if page != "CHANGELOG.md"}
    assert not [name for page, text in texts.items() for name in missing_files(page, text)]
    assert not [name for page, text in texts.items() for name in missing_modules(page, text)]


def test_every_path_in_docstrings_and_comments_exists() -> None:
    kinds = (".py", ".toml", "Makefile")
    names = [name for name in tracked() if name.endswith(kinds) and name != "tests/test_docs.py"]
    texts = {name: (ROOT / name).read_text() for name in names}
    assert not [path for name, text in texts.items() for path in missing_in_source(name, text)]


def test_what_is_so_now_is_said_in_the_fields_terms() -> None:
    texts = {page: (ROOT / page).read_text() for page in pages() if not page.startswith(DATED)}
    assert not {page: found for page, text in texts.items() if (found := PRIVATE.findall(text))}


def test_a_planted_case_is_found() -> None:
    text = (
        "[a](absent.md) [b](docs/README.md#nothing) `src/isma/absent.py` "
        "`isma.absent` `isma.api` `world.absent`"
    )
    assert list(broken_links("README.md", text)) == [
        "README.md: absent.md",
        "README.md: docs/README.md#nothing",
    ]
    assert list(missing_files("README.md", text)) == ["README.md: src/isma/absent.py"]
    assert sorted(missing_modules("README.md", text)) == [
        "README.md: isma.absent",
        "README.md: world.absent",
    ]
    assert PRIVATE.findall("The price is reckoned, and the rest drawn by lot.") == [
        "reckoned",
        "by lot",
    ]
    assert list(missing_in_source("a.py", "docs/absent.md")) == ["a.py: docs/absent.md"]

"""Pages of the site, under the paths they have in the repository: links lead to the same places in both."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from typer.cli import get_docs_for_click
from typer.main import get_command

from isma.cli.deferred import Deferred
from isma.cli.main import app

ROOT = Path(__file__).parents[2]
PAGES = ("*.md", "examples/*.md", "docs/**/*.md")
LINK = re.compile(r"\]\(([^)#\s]+)")
OBJECT = re.compile(r"^<!-- ::: (\S+) -->$", re.MULTILINE)
"""Place of a reference that is made of docstrings; GitHub does not show it."""
SOURCE = re.compile(r"^<!-- source: (\S+) -->$", re.MULTILINE)
"""Place of a definition's source, beneath its equation."""
COMMANDS = "<!-- commands -->"
RANKS = {"docs/scenarios.md": 3, "docs/research": 0.3, "docs/decisions": 0.3, "CHANGELOG.md": 0.3}
"""Weights in the search: fields of a scenario first, what was so at its time last."""
BARE = "show_root_heading: false, show_root_toc_entry: false"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Let a folder in the navigation stand for its pages, in the order of their names."""
    config.nav = [
        {title: list(_shelf(where)) if isinstance(where, str) and where.endswith("/") else where}
        for entry in config.nav or ()
        for title, where in entry.items()
    ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages, and every file of the repository that they lead to."""
    for path in sorted(_published()):
        files.append(File(path, str(ROOT), config.site_dir, config.use_directory_urls))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Put in what is made of the code: docstrings, sources, the help of commands."""
    ranks = [rank for where, rank in RANKS.items() if page.file.src_uri.startswith(where)]
    page.meta["search"] = {"boost": next(iter(ranks), 1)}
    markdown = OBJECT.sub(_documented, markdown)
    markdown = SOURCE.sub(
        rf"::: \1\n    options: {{{BARE}, show_docstring_description: false}}", markdown
    )
    return markdown.replace(COMMANDS, "\n".join(_commands())) if COMMANDS in markdown else markdown


def _documented(found: re.Match[str]) -> str:
    """A class with its heading; of a module what it holds, since the page says what the module is."""
    name = found[1]
    alone = name.rpartition(".")[2][0].isupper()
    return f"::: {name}" if alone else f"::: {name}\n    options: {{{BARE}}}"


def _shelf(folder: str) -> Iterator[str]:
    pages = {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*.md")}
    yield from sorted(pages, key=lambda path: (not path.endswith("/README.md"), path))


def _published() -> set[str]:
    pages = {path for pattern in PAGES for path in ROOT.glob(pattern)}
    linked = {
        (page.parent / link).resolve() for page in pages for link in LINK.findall(page.read_text())
    }
    files = {path for path in pages | linked if path.is_file() and path.is_relative_to(ROOT)}
    return {path.relative_to(ROOT).as_posix() for path in files}


def _commands() -> Iterator[str]:
    program: Any = get_command(app)  # Typer has no public name for a group.
    for name, command in program.commands.items():
        whole = command.load() if isinstance(command, Deferred) else command
        context = typer.Context(whole, info_name=name)
        yield get_docs_for_click(obj=whole, ctx=context, indent=1, name=name, call_prefix="isma")

"""Commands that the documents show: the parsers that users meet accept each of them."""

import re
import shlex
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest
import typer
from test_docs import CODE, FENCED, ROOT, pages

from benchmarks.commands import app as benchmarks
from isma.cli.deferred import Deferred
from isma.cli.main import app as isma
from leaderboard.commands import app as leaderboard

PROGRAM = re.compile(r"^(?:isma|make|python -m [\w.]+)(?= |$)")
SHOWN = re.compile(r"^ {4,}((?:isma|make|python -m [\w.]+)(?: .*)?)$", re.MULTILINE)
COMMENT = re.compile(r"\s{3,}|\s+&$|\s+#")
"""From here on a line says what its command does."""
TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
DATED = ("CHANGELOG.md", "docs/research/", "docs/decisions/")
"""Pages whose commands were so at their time."""
ABBREVIATED = ("MissingParameter", "BadOptionUsage", "NoArgsIsHelpError")
"""Prose leaves out arguments and values, and a group alone stands for its commands."""
APPS = {"isma": isma, "benchmarks": benchmarks, "leaderboard": leaderboard}
AT_ONCE = {"-h", "--help", "--version", "--install-completion", "--show-completion"}
"""Options of every program that act while it reads them."""


def shown(text: str) -> Iterator[str]:
    """Commands in blocks, without what is said about them."""
    joined = re.sub(r" \\\n\s*", " ", text)
    for line in SHOWN.findall(joined):
        yield COMMENT.split(line)[0]


def mentioned(text: str) -> Iterator[str]:
    """Commands in backticks."""
    yield from (code for code in CODE.findall(FENCED.sub("", text)) if PROGRAM.match(code))


def words(command: str) -> list[str]:
    """Words as a shell gives them; brackets and dots of a synopsis stand for themselves."""
    plain = re.sub(r"(?<= )\[|\](?= |$|\.\.\.)|(?<=\])\.\.\.|\.\.\.$", "", command)
    return [word for word in shlex.split(plain) if word not in {"…", "...", *AT_ONCE}]


def parse(command: Any, name: str, rest: list[str], parent: Any = None) -> None:
    """Let a program read its words, down to the last command, and run nothing."""
    whole = command.load() if isinstance(command, Deferred) else command
    with whole.make_context(name, list(rest), parent=parent) as context:
        if hasattr(whole, "resolve_command"):
            left = [*context._protected_args, *context.args]
            if not left and whole.invoke_without_command:
                return
            found, inner, after = whole.resolve_command(context, left)
            assert inner is not None
            parse(inner, found, after, context)


def refusal(command: str) -> str | None:
    """Reason why nobody can type this command."""
    program, *rest = words(command)
    if program == "make":
        unknown = [word for word in rest[:1] if word not in TARGETS]
        return f"no target {unknown[0]}" if unknown else None
    app = isma
    if program == "python":
        module, rest = rest[1], rest[2:]
        if module not in APPS:
            known = find_spec(module.split(".")[0]) and find_spec(module)
            return None if known else f"no module {module}"
        app = APPS[module]
    try:
        parse(typer.main.get_command(app), program, rest)
    except Exception as problem:  # Of whichever kind: it is told.
        return f"{type(problem).__name__}: {problem}"
    return None


def refused(page: str, *, blocks: bool) -> list[str]:
    text = (ROOT / page).read_text()
    found = {one: refusal(one) for one in (shown(text) if blocks else mentioned(text))}
    return [
        f"{page}: {command}: {why}"
        for command, why in found.items()
        if why and (blocks or not why.startswith(ABBREVIATED))
    ]


PRESENT = [page for page in pages() if not page.startswith(DATED)]


@pytest.mark.parametrize("blocks", [True, False])
def test_every_command_is_one(blocks: bool) -> None:
    assert not [line for page in PRESENT for line in refused(page, blocks=blocks)]


def test_a_planted_case_is_found() -> None:
    assert refusal("isma compare paper --policies nearest --seeds 2") is None
    for wrong in (
        "isma compair paper",
        "isma compare paper --seed 2",
        "isma scenario lists",
        "make tset",
        "python -m benchmarks simulate",
        "python -m leaderboard validated",
        "python -m isma.absent",
    ):
        assert refusal(wrong), wrong
    assert list(shown("    isma watch RUN \\\n        --phone    as on a phone\n")) == [
        "isma watch RUN --phone"
    ]

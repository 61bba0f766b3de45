"""Names and docstrings: one meaning for each public class, sentences that can be read alone, plain words."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "isma"
REFUSED = ("What", "The same", "As", "Who", "Whom", "Whose", "That")
"""No sentence that can be read alone begins so."""
TWICE = {
    "Budget",  # Of a hand-over's bytes, and of the planner's search.
    "Decision",  # Of the edge agent, and of a policy in plain Python.
    "Kind",  # Of a certificate, and of a latent model.
    "Progress",  # Of a training, and of a reproduction.
    "Refused",  # A message of the ownership protocol, and what the client raises.
    "Run",  # A command of the ownership protocol, and the tables of a comparison.
    "Sequences",  # What the latent models and the actor-critic are trained on.
    "Terms",  # Of the evidence lower bound, and of the actor-critic's loss.
}
"""Names that stand for two public classes."""
COINED = re.compile(r"told|reckon\w*|foretell\w*|foretold|lived|heard")
"""Words of an identifier that say nothing of its content: the field has a term for it."""
BROADCASTS = {"contract.py", "simulator/broadcast.py", "simulator/state.py", "simulator/step.py"}
"""Files in which a server has heard broadcasts."""


def sources() -> dict[str, str]:
    return {str(path.relative_to(SOURCE)): path.read_text() for path in SOURCE.rglob("*.py")}


def docstrings(text: str) -> Iterator[str]:
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, documented) and (found := ast.get_docstring(node)):
            yield found


def unreadable(files: Mapping[str, str]) -> list[str]:
    """Docstrings that begin with one of the refused words."""
    return [
        f"{name}: {found.splitlines()[0]}"
        for name, text in files.items()
        for found in docstrings(text)
        if any(f"{found} ".startswith(f"{word} ") for word in REFUSED)
    ]


def shared(files: Mapping[str, str]) -> dict[str, list[str]]:
    """Public classes of one name in several files."""
    places = defaultdict(list)
    for name, text in files.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(name)
    return {name: found for name, found in places.items() if len(found) > 1}


def identifiers(text: str) -> Iterator[str]:
    """Names of variables, arguments, attributes, functions and classes."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Name(id=name) | ast.arg(arg=name) | ast.Attribute(attr=name):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.ClassDef(name=name):
                yield name


def words(identifier: str) -> list[str]:
    """Words of an identifier in lower case."""
    return re.findall(r"[A-Z]?[a-z]+|[A-Z]+", identifier)


def coined(files: Mapping[str, str]) -> set[str]:
    """Identifiers with a coined word."""
    return {
        f"{file}: {name}"
        for file, text in files.items()
        for name in identifiers(text)
        for word in map(str.lower, words(name))
        if COINED.fullmatch(word) and not (word == "heard" and file in BROADCASTS)
    }


def test_every_docstring_can_be_read_alone() -> None:
    assert not unreadable(sources())


def test_a_public_class_has_a_name_of_its_own() -> None:
    assert set(shared(sources())) == TWICE
    assert len(TWICE) <= 8


def test_an_identifier_says_its_content_in_the_field_s_words() -> None:
    assert not coined(sources())


def test_a_planted_word_is_found() -> None:
    planted = "told = 1\n\ndef _was_reckoned(heardPrice): ...\n\nclass Lived: ...\n\nheard = state.heard\n"
    files = {"a.py": planted, "simulator/state.py": planted, "b.py": "untold = retold.unheard\n"}
    assert coined(files) == {
        *(f"a.py: {name}" for name in ("told", "_was_reckoned", "heardPrice", "Lived", "heard")),
        *(f"simulator/state.py: {name}" for name in ("told", "_was_reckoned", "Lived")),
    }


def test_a_planted_case_is_found() -> None:
    planted = 'class Known:\n    """The same of another."""\n\n\ndef f():\n    """What it is."""\n'
    files = {"a.py": planted, "b.py": "class Known:\n    pass\n"}
    assert unreadable(files) == ["a.py: The same of another.", "a.py: What it is."]
    assert shared(files) == {"Known": ["a.py", "b.py"]}

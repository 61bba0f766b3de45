"""Imports and string literals of Python files: parsed without running them, and cached.

Parsing all of isma takes longer than importing it. Results are kept in the user's cache folder, under the
digest of each file's content.
"""

import ast
import json
import platform
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from isma import program_cache
from isma.errors import RunError
from isma.storage import BLANK, digest, is_intact, sealed, write_atomically

_IMPORTERS = {"import_module", "__import__"}
_LONGEST_PATH = 255
_MOST_KEPT = 2000
"""Files of which imports and texts are kept."""
_NEW: set[str] = set()
"""Digests of files read since the last `keep`."""
_OF_INTEREST = ast.Import | ast.ImportFrom | ast.Call | ast.Constant | ast.JoinedStr | ast.BinOp


@dataclass(frozen=True)
class SourceText:
    """Names in a module's source, as far as they can be read without running it."""

    imports: tuple[str, ...]
    """Modules that may be imported, and their names' parts: `a.b` may be a module or a class. Relative
    ones begin with dots."""
    paths: tuple[str, ...]
    """Literals that may be a file's path, sorted, `*` for computed parts."""


def read(path: Path, content_digest: str) -> SourceText:
    """Imports and texts of a file with that content; one that is no Python has none."""
    text = _kept().get(content_digest)
    if text is None:
        try:
            nodes = [node for node in ast.walk(ast.parse(path.read_bytes())) if _is_read(node)]
        except (SyntaxError, ValueError, RecursionError):
            nodes = []
        text = SourceText(tuple(_imports(nodes)), tuple(sorted({*filter(_is_path, _texts(nodes))})))
        _kept()[content_digest] = text
        _NEW.add(content_digest)
    return text


def keep() -> None:
    """Write new results into the user's cache folder, if it is usable."""
    path = _file()
    if not _NEW or path is None or program_cache.unusable(path.parent.parent):
        return
    files = {name: asdict(text) for name, text in list(_kept().items())[-_MOST_KEPT:]}
    content = json.dumps({"files": files, "seal": BLANK.decode()}).encode()
    with suppress(RunError):  # Then the next process reads them again.
        write_atomically(path, sealed(content))
    _NEW.clear()


def forget() -> None:
    """Drop this process's results; the cache folder still has them."""
    _kept.cache_clear()
    _NEW.clear()


def _is_read(node: ast.AST) -> bool:
    return isinstance(node, _OF_INTEREST)


def _is_path(text: str) -> bool:
    return 0 < len(text) <= _LONGEST_PATH and text.isprintable()


def _imports(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        match node:
            case ast.Import(names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module, names, level):
                base = "." * level + (module or "")
                yield base
                dot = "" if base.endswith(".") else "."
                yield from (f"{base}{dot}{alias.name}" for alias in names)
            case ast.Call(func, [ast.Constant(str(text)), *_]):
                if getattr(func, "attr", getattr(func, "id", None)) in _IMPORTERS:
                    yield text


def _texts(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """String literals, and paths that are joined from them."""
    for node in nodes:
        match node:
            case ast.Constant(str(text)):
                yield text
            case ast.JoinedStr():
                yield _pattern(node)
            case ast.BinOp(_, ast.Div(), _):
                yield _joined(_operands(node))
            case ast.Call(ast.Attribute(_, "join" | "joinpath"), parts):
                yield _joined(parts)


def _pattern(node: ast.AST) -> str:
    """Text of an expression, with `*` for computed parts."""
    match node:
        case ast.Constant(str(text)):
            return text
        case ast.JoinedStr(parts):
            return "".join(map(_pattern, parts))
    return "*"


def _operands(node: ast.AST) -> list[ast.AST]:
    match node:
        case ast.BinOp(left, ast.Div(), right):
            return [*_operands(left), right]
    return [node]


def _joined(parts: Iterable[ast.AST]) -> str:
    """Path of the last parts of a join, from the first one that is text."""
    texts = list(map(_pattern, parts))
    while texts and texts[0] == "*":
        texts.pop(0)
    return "/".join(texts)


def _file() -> Path | None:
    """Cache file of this version of Python and of this module; None where the cache is off."""
    folder = program_cache.cache_folder()
    if folder is None:
        return None
    of = digest(Path(__file__).read_bytes() + platform.python_version().encode())
    return folder / program_cache.SOURCES / f"{of[:40]}.json"


@cache
def _kept() -> dict[str, SourceText]:
    """Cached results by the digests of files' contents."""
    path = _file()
    try:
        if path is None or not program_cache.is_own(path.stat()):
            return {}
        content = path.read_bytes()
        tree = json.loads(content)
        if not is_intact(content, tree["seal"]):
            return {}
        return {
            name: SourceText(tuple(one["imports"]), tuple(one["paths"]))
            for name, one in tree["files"].items()
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}

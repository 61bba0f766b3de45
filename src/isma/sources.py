"""Digests of code: the modules that a module depends on, read from their source.

Own code may change from one run to the next: isma's, and that of users' policies. Installed packages count
by their version, Python's library by the version of Python.
"""

import os
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from importlib import metadata, util
from importlib.machinery import ModuleSpec, PathFinder
from itertools import islice
from pathlib import Path
from types import FunctionType, ModuleType

from isma import source_text
from isma.errors import PolicyError
from isma.source_text import SourceText
from isma.storage import digest

_PACKAGE = Path(__file__).parent
_ROOT = _PACKAGE.name
_INSTALLED = {"site-packages", "dist-packages"}
_PYTHON = {Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")}
_MOST_FILES = 1000
"""Files of one folder, or like one name, that are read."""
_OF_MACHINE = ("/proc", "/sys", "/dev")
_BYTECODE = "__pycache__"
_RUN = {".lock"}
"""Files of a folder that isma writes in."""


@cache
def of_isma(*names: str) -> Mapping[str, str]:
    """Digests of isma's modules of these names and of all that they import, by name.

    Raises ModuleNotFoundError for a name of no module, which a digest would silently leave out.
    """
    for name in names:
        if _spec(name) is None:
            raise ModuleNotFoundError(
                f"no module {name} to be digested: name the one that it is now"
            )
    return _digests(names)


def of_policy(made: Callable[..., object]) -> Mapping[str, str]:
    """Digests of all code that a policy's class or function depends on, by name.

    Its module and those of its base classes, with their imports and references, transitively; data files
    named in users' code; versions of installed packages. Raises PolicyError for a module whose file has
    changed since it was imported.
    """
    return _digests({one.__module__ for one in getattr(made, "__mro__", (made,))})


def of_module(name: str) -> Mapping[str, str]:
    """Digests of a module and of its imports; of an installed one its version."""
    if name == _ROOT:  # A reference to the package may use all of it.
        return {str(file): digest(file.read_bytes()) for file in sorted(_PACKAGE.rglob("*.py"))}
    top = name.partition(".")[0]
    return {**_digests([name]), f"version of {top}": _version(top)}


def has_source(name: str) -> bool:
    """Whether a module of that name can be found again; a cell's or a prompt's cannot."""
    return _spec(name) is not None


def is_own(name: str) -> bool:
    """Whether a module is isma's or a user's own, and not installed."""
    spec = _spec(name)
    return spec is not None and bool(spec.origin) and _is_own(Path(str(spec.origin)))


def _digests(names: Iterable[str]) -> dict[str, str]:
    digests: dict[str, str] = {}
    for name, spec in _closure(names).items():
        path = Path(str(spec.origin))
        digests[name] = _as_imported(name, path, spec)
        text = source_text.read(path, digests[name])
        for named, file in _named_files(text, path):
            digests[f"{name}: {named}"] = digest(file.read_bytes())
        if not _is_isma(path):
            tops = {one.partition(".")[0] for one in _imports(text, name, spec)}
            digests |= {f"version of {top}": _version(top) for top in tops}
    source_text.keep()
    return digests


def _closure(names: Iterable[str]) -> dict[str, ModuleSpec]:
    """Own modules of these names and their imports, transitively, with the packages in between."""
    specs: dict[str, ModuleSpec] = {}
    seen, waiting = {_ROOT}, list(names)
    while waiting:
        name = waiting.pop()
        spec = None if name in seen else _spec(name)
        seen.add(name)
        if spec is None or not spec.origin or not _is_own(Path(spec.origin)):
            continue
        specs[name] = spec
        path = Path(spec.origin)
        waiting += _imports(source_text.read(path, _first_seen(path, spec)), name, spec)
        if not _is_isma(path):  # Packages of isma only re-export names.
            waiting += [name.rpartition(".")[0] or name, *_referenced(sys.modules.get(name))]
    return specs


def _spec(name: str) -> ModuleSpec | None:
    """Where a module is, without running any code to find out."""
    spec = getattr(sys.modules.get(name), "__spec__", None)
    if spec is not None:
        return spec
    parent = name.rpartition(".")[0]
    try:
        if not parent:
            return util.find_spec(name)
        above = _spec(parent)
        places = above and above.submodule_search_locations
        return PathFinder.find_spec(name, list(places)) if places else None
    except (ImportError, ValueError):
        return None


def _referenced(module: ModuleType | None) -> Iterator[str]:
    """Modules that a loaded module refers to by its attributes."""
    for value in list(vars(module).values()) if module else ():
        if isinstance(value, ModuleType):
            yield value.__name__
        elif isinstance(value, type | FunctionType):
            yield value.__module__


def _is_own(path: Path) -> bool:
    return _is_isma(path) or (path.is_file() and not _is_installed(path))


@cache
def _is_installed(path: Path) -> bool:
    """Whether a file is of an installed package or of Python's library."""
    parts = _INSTALLED & set(path.parts)
    return bool(parts) or any(map(path.resolve().is_relative_to, _PYTHON))


def _is_isma(path: Path) -> bool:
    return path.is_relative_to(_PACKAGE)


def _imports(text: SourceText, name: str, spec: ModuleSpec) -> list[str]:
    """Full names of the modules that a module may import."""
    is_package = spec.submodule_search_locations is not None
    package = name if is_package else name.rpartition(".")[0]
    return [_resolved(one, package) for one in text.imports]


def _resolved(name: str, package: str) -> str:
    try:
        return util.resolve_name(name, package)
    except ImportError:
        return name.lstrip(".")


def _as_imported(name: str, path: Path, spec: ModuleSpec) -> str:
    """A module's digest. Raises PolicyError if a user's own code has changed since its import."""
    then = _first_seen(path, spec)
    if not _is_isma(path) and name in sys.modules and digest(path.read_bytes()) != then:
        raise PolicyError(
            f"{path} has changed since it was imported: start Python again, so that what runs is the "
            "code that is there now"
        )
    return then


def _first_seen(path: Path, spec: ModuleSpec) -> str:
    """Digest of a file at its first use, kept with the import's spec."""
    seen: dict[Path, str] = vars(spec).setdefault("_isma_first_seen", {})
    if path not in seen:
        seen[path] = digest(path.read_bytes())
    return seen[path]


def _named_files(text: SourceText, path: Path) -> Iterator[tuple[str, Path]]:
    """Files that a module's source names: in its folder, or in the working directory.

    The name of a folder stands for the files in it, and in users' code a name with `*` for matching ones.
    """
    if _is_isma(path):
        yield from _data_of_isma(text, path.parent)
        return
    for name in text.paths:
        for place in (path.parent, Path()):
            if _is_file(place / name) and not _is_of_machine(place / name):
                yield name, place / name
        for file in islice(_files_like(path.parent, name), _MOST_FILES):
            yield str(file.relative_to(path.parent)), file


def _data_of_isma(text: SourceText, place: Path) -> Iterator[tuple[str, Path]]:
    """Data files of isma that a module's source names: in its folder, or in a data folder in it."""
    there = _entries(place)
    for name in text.paths:
        if name.partition("/")[0] not in there:  # Most texts are no names of files.
            continue
        path = place / name
        if path.is_file():
            yield name, path
        elif path.is_dir() and name != _BYTECODE and not (path / "__init__.py").exists():
            files = (one for one in sorted(path.iterdir()) if one.is_file())
            yield from ((f"{name}/{one.name}", one) for one in files)


@cache
def _entries(folder: Path) -> frozenset[str]:
    return frozenset(os.listdir(folder))


def _is_of_machine(path: Path) -> bool:
    """Whether a file describes the machine's present state, and so no policy."""
    return any(path.resolve().is_relative_to(place) for place in _OF_MACHINE)


def _files_like(place: Path, name: str) -> Iterator[Path]:
    """Files below a place in the folder of that name, or like the name's pattern."""
    pattern = Path(name)
    if pattern.is_absolute() or ".." in pattern.parts or not pattern.parts:
        return
    try:
        if "*" in name and pattern.suffix not in ("", ".*"):
            yield from (one for one in sorted(place.glob(name)) if one.is_file())
        elif (place / pattern).is_dir():
            for folder, below, files in os.walk(place / pattern):
                # Bytecode and runs of isma are no part of the policy.
                if _RUN & set(files):
                    below.clear()
                    continue
                below[:] = sorted(set(below) - {_BYTECODE})
                yield from (Path(folder, one) for one in sorted(files))
    except (OSError, ValueError):  # A name that no file can have.
        return


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _version(name: str) -> str:
    """Version of the installed package of that name; empty if there is none."""
    top = name.partition(".")[0]
    version = getattr(sys.modules.get(top), "__version__", None)
    if version is not None:
        return str(version)
    try:
        return metadata.version(top)
    except (metadata.PackageNotFoundError, ValueError):
        return ""

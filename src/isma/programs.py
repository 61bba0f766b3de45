"""Compiled programs: each compiled once in a process, and kept for the next one in the user's cache folder.

Nearly all of a first comparison is compilation by XLA. A program is named by a key of all that it depends
on: the function, its code and options, the types of its arrays and all other arguments, versions, settings
and the machine. So a stored program need not even be traced. Under that key stands the key of its
executable, which is that of the lowered code: after an edit that changes none, as of a comment, a program is
traced once, and not compiled. Files are sealed, and a damaged one is made again
(docs/decisions/0037-compiled-programs.md).
"""

import json
import logging
import os
import pickle
import platform
import threading
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.experimental import serialize_executable

from isma import program_cache
from isma.errors import RunError
from isma.storage import BLANK, digest, is_intact, sealed, write_atomically

_LOG = logging.getLogger(__name__)
_VERSIONED = ("isma", "jax", "jaxlib", "equinox")
_CHANGE_NO_PROGRAM = ("cache", "log", "dump", "debug_info")
"""Parts of the names of such settings of JAX."""
_NAME = 40
"""Characters of a key that a file's name has."""
_ADDRESS, _INNER, _CALLBACK = " at 0x", "<locals>", "callback"
"""Marks of addresses, which differ between processes, of closures, and of callbacks to Python."""
_CACHE_HIT = "/jax/compilation_cache/cache_hits"

ProgramIdentity = Mapping[str, Any] | None
"""Code and options that a function depends on, as JSON; None where they are not known."""
Call = Callable[..., Any]


class _Signature(NamedTuple):
    """Everything that a function is traced for."""

    function: Call
    tree: Any
    """Structure of the arguments, with their static parts."""
    leaves: tuple[Any, ...]
    """Types of arrays; other leaves as they are."""


class Programs:
    """Programs of a process: a thread that needs one that is being compiled waits for it."""

    def __init__(self) -> None:
        self._made: dict[_Signature, Future[Call]] = {}
        self._lock = threading.Lock()

    def get(self, function: Call, identity: ProgramIdentity, *args: Any) -> Call:
        """Compiled `function`, to be called with arguments like these.

        Loaded from the user's cache folder, or compiled and stored there. Raises the errors of tracing.
        """
        leaves, tree = jax.tree.flatten(args)
        signature = _Signature(function, tree, tuple(map(_kind, leaves)))
        with self._lock:
            mine = signature not in self._made
            future = self._made.setdefault(signature, Future())
        if mine:
            try:
                future.set_result(_program(signature, identity, leaves))
            except BaseException as error:
                future.set_exception(error)
                with self._lock:
                    del self._made[signature]
                raise
        return future.result()


def _program(signature: _Signature, identity: ProgramIdentity, leaves: list[Any]) -> Call:
    """Program of a signature, from the cache folder or compiled."""
    folder, key = program_cache.cache_folder(), _key(signature, identity)
    if folder is None or key is None:
        lowered, form = _lowered(signature, leaves)
        return _calling(lowered.compile(), form, leaves)
    known = _load(folder, key, pickle.loads)
    if known is not None:
        form, code = known
        compiled = _load(folder, code, _executable)
        if compiled is not None:
            return _calling(compiled, form, leaves)
    lowered, form = _lowered(signature, leaves)
    compiled, code = _compiled(folder, lowered)
    if code is not None and _write(folder, key, pickle.dumps((form, code))):
        program_cache.prune(folder)
    return _calling(compiled, form, leaves)


def _lowered(signature: _Signature, leaves: list[Any]) -> tuple[jax.stages.Lowered, Any]:
    """Code of a signature before compiling, and the structure of its result."""
    forms: list[Any] = []
    # Arguments that are not used stay, or the code would not say which of them it reads.
    lowered = jax.jit(_of_arrays(signature, leaves, forms), keep_unused=True).lower(
        [_bare(leaf) for leaf in leaves if eqx.is_array(leaf)]
    )
    return lowered, forms[-1]


def _compiled(folder: Path, lowered: jax.stages.Lowered) -> tuple[Call, str | None]:
    """Executable of lowered code, and its key in the folder; None where it cannot be kept."""
    # A setting of JAX that keeps constants out of the code.
    if jax.config.values.get("jax_use_simplified_jaxpr_constants"):
        return lowered.compile(), None
    text = lowered.as_text()
    described = {"code": text, "arguments": str(lowered.in_avals), "results": str(lowered.out_info)}
    key = digest(json.dumps({**described, **_environment()}, sort_keys=True).encode())
    known = _load(folder, key, _executable)
    if known is not None:
        return known, key
    before = _taken_from_jax()
    compiled = lowered.compile()
    # What calls Python cannot be kept, and what JAX's own cache gave loses its functions on serialization.
    if _taken_from_jax() > before or _CALLBACK in text:
        return compiled, None
    try:
        content = pickle.dumps(serialize_executable.serialize(compiled))
    except Exception as error:  # A device or a policy's memory that cannot be written.
        _LOG.info("a program is not kept: %s", error)
        return compiled, None
    return compiled, key if _write(folder, key, content) else None


def _executable(content: bytes) -> Call:
    return serialize_executable.deserialize_and_load(*pickle.loads(content))


def _of_arrays(signature: _Signature, leaves: list[Any], forms: list[Any]) -> Call:
    """The function from a list of arrays to another.

    Tracing appends the result's structure to `forms`, with the kind of each random key in it.
    """
    kinds = [_key_kind(leaf) for leaf in leaves]
    fixed = [None if eqx.is_array(leaf) else leaf for leaf in leaves]
    varies = [eqx.is_array(leaf) for leaf in leaves]

    def run(arrays: list[Any]) -> list[Any]:
        given = iter(arrays)
        whole = [
            _dressed(next(given), kind) if is_array else leaf
            for is_array, kind, leaf in zip(varies, kinds, fixed, strict=True)
        ]
        result, tree = jax.tree.flatten(
            signature.function(*jax.tree.unflatten(signature.tree, whole))
        )
        forms.append(jax.tree.unflatten(tree, [_key_kind(leaf) for leaf in result]))
        return [_bare(leaf) for leaf in result]

    return run


def _calling(compiled: Call, form: Any, like: list[Any]) -> Call:
    """Function of arguments with leaves like these, by a compiled function of arrays."""
    kinds, tree = jax.tree.flatten(form)
    are_keys = [_is_key(leaf) for leaf in like if eqx.is_array(leaf)]

    def call(*args: Any) -> Any:
        arrays = filter(eqx.is_array, jax.tree.leaves(args))
        bare = [
            jax.random.key_data(array) if is_key else array
            for array, is_key in zip(arrays, are_keys, strict=True)
        ]
        return jax.tree.unflatten(tree, map(_dressed, compiled(bare), kinds))

    return call


def _key_kind(leaf: Any) -> str:
    """Kind of a random key; empty for other leaves."""
    return str(jax.random.key_impl(leaf)) if _is_key(leaf) else ""


def _is_key(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _bare(leaf: Any) -> Any:
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _dressed(array: Any, kind: str) -> Any:
    return jax.random.wrap_key_data(array, impl=kind) if kind else array


def _kind(leaf: Any) -> Any:
    return jax.typeof(leaf) if eqx.is_array(leaf) else (type(leaf), leaf)


def _key(signature: _Signature, identity: ProgramIdentity) -> str | None:
    """Digest of all that a program depends on; None where that is not known."""
    function = f"{signature.function.__module__}:{signature.function.__qualname__}"
    if identity is None or _INNER in function:
        return None
    description = json.dumps(
        {
            "function": function,
            "made of": identity,
            "arguments": str(signature.tree),
            "leaves": [repr(leaf) for leaf in signature.leaves],
            **_environment(),
        },
        sort_keys=True,
        default=str,
    )
    return None if _ADDRESS in description else digest(description.encode())


def _environment() -> dict[str, Any]:
    """Machine, versions and settings that compiling depends on."""
    settings = {
        name: str(value)
        for name, value in jax.config.values.items()
        if not any(part in name for part in _CHANGE_NO_PROGRAM)
    }
    flags = os.environ.get("XLA_FLAGS", "")
    return {"machine": _machine(), "settings": settings, "flags": flags}


def _taken_from_jax() -> int:
    """Programs that JAX's own cache has given this thread."""
    return vars(_cache_hits()).get("number", 0)


@cache
def _cache_hits() -> threading.local:
    counts = threading.local()

    def listen(event: str, **_: Any) -> None:
        if event == _CACHE_HIT:
            vars(counts)["number"] = vars(counts).get("number", 0) + 1

    jax.monitoring.register_event_listener(listen)
    return counts


@cache
def _machine() -> dict[str, Any]:
    """Versions, and the processor that code is compiled for."""
    described = Path("/proc/cpuinfo")
    lines = described.read_text().splitlines() if described.exists() else []
    wanted = [line for line in lines if line.startswith(("model name", "flags", "Features"))]
    return {
        "versions": {name: version(name) for name in _VERSIONED},
        "processor": wanted[:2] or platform.processor(),
        "machine": platform.machine(),
        "devices": [(device.platform, device.device_kind) for device in jax.devices()],
    }


def _load(folder: Path, key: str, load: Callable[[bytes], Any]) -> Any:
    """A kept file, loaded; None where there is none, or where it cannot be."""
    path = _path(folder, key)
    content = _read(path, key)
    try:
        return None if content is None else load(content)
    except Exception as error:  # Another version of JAX may raise anything.
        _LOG.info("%s cannot be loaded, and is compiled anew: %s", path, error)
        return None


def _path(folder: Path, key: str) -> Path:
    return folder / program_cache.PROGRAMS / f"{key[:_NAME]}.bin"


def _read(path: Path, key: str) -> bytes | None:
    """Content of a file, if no other user can have written it, and it is whole and of that key."""
    try:
        with path.open("rb") as file:
            own, content = program_cache.is_own(os.fstat(file.fileno())), file.read()
        os.utime(path)  # Used now: others go before it.
    except OSError:
        return None
    if not own:
        _LOG.warning("%s is not read: others may have written it", path)
        return None
    seal = content[-len(BLANK) :].decode(errors="replace")
    if content[: -len(BLANK)].endswith(key.encode()) and is_intact(content, seal):
        return zlib.decompress(content[: -len(BLANK) - len(key)])
    _LOG.info("%s is damaged, and compiled anew", path)
    return None


def _write(folder: Path, key: str, content: bytes) -> bool:
    """Keep content under its key, and say whether that was possible."""
    sealed_content = sealed(zlib.compress(content, 1) + key.encode() + BLANK)
    try:
        write_atomically(_path(folder, key), sealed_content)
        return True
    except RunError as error:
        program_cache.turn_off()
        _LOG.warning("compiled programs are not kept: %s", error)
        return False

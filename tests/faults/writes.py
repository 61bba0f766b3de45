"""Every change that a process makes to a folder, told just before it is made."""

import builtins
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_CHANGES = frozenset(
    ("os.chmod", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink")
)
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT

Tell = Callable[[str], None]


def tell_of(folder: Path, tell: Tell) -> None:
    """Call `tell` before each change within a folder, and with half of each content written.

    It cannot be taken back: for processes that end with what they do.
    """
    root = os.path.realpath(folder) + os.sep

    def within(path: Any) -> bool:
        if isinstance(path, int):
            return False
        return (os.path.realpath(os.fsdecode(path)) + os.sep).startswith(root)

    def hook(event: str, details: tuple) -> None:
        if event == "open":
            path, _, flags = details
            if path is not None and flags & _WRITES and within(path):
                tell(f"open {path}")
        elif event == "os.mkdir" and os.path.exists(details[0]):
            pass  # Asked for before each file, and changes nothing.
        elif event in _CHANGES and within(details[0]):
            tell(f"{event} {details[0]}")

    sys.addaudithook(hook)
    for module, name in ((builtins, "open"), (io, "open"), (os, "fdopen")):
        setattr(module, name, _tearing(getattr(module, name), within, tell))


def _tearing(opened: Callable, within: Callable[[Any], bool], tell: Tell) -> Callable:
    def open_(file: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
        made = opened(file, mode, *rest, **options)
        written = set(mode) & set("wax+") and (isinstance(file, int) or within(file))
        return _Torn(made, tell) if written else made

    return open_


class _Torn:
    """A file that passes on what is written in two halves."""

    def __init__(self, file: Any, tell: Tell) -> None:
        self._file, self._tell = file, tell

    def write(self, content: Any) -> int:
        half = len(content) // 2
        self._file.write(content[:half])
        self._file.flush()
        self._tell("half written")
        self._file.write(content[half:])
        self._file.flush()
        return len(content)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> "_Torn":
        self._file.__enter__()
        return self

    def __exit__(self, *raised: Any) -> Any:
        return self._file.__exit__(*raised)

    def __iter__(self) -> Any:
        return iter(self._file)

"""Ctrl-C in a command: one line and status 130 within two seconds, from the first import on.

Python hears of a signal between two of its instructions only, and XLA compiles for seconds between
two of them. So a thread of its own hears of it too, by the byte that the signal leaves in a pipe, and
ends the process where that has not ended itself.
"""

# Until this is imported Ctrl-C is not handled: so only built-in modules are imported here.
# `signal` and `threading` alone would take longer than all the rest.
import _signal as signal  # pyright: ignore[reportMissingImports]
import _thread
import os
import sys
import time

TYPE_CHECKING = False  # `typing` would take longer than all the rest.
if TYPE_CHECKING:
    from types import FrameType

STATUS = 130
"""Exit status after Ctrl-C, as shells have it."""
LINE = "isma: interrupted; what is finished is kept, and the same command goes on from there\n"

_GRACE_S = 1.0
"""Time in which a command may leave by itself."""
_SHOW_CURSOR = "\r\x1b[?25h\x1b[K"


class Interrupt:
    """Handler of SIGINT: the process ends at once or, once `raises` is set, by KeyboardInterrupt.

    While anything is imported it ends at once in any case: native code crashes where an exception
    comes in the middle of its start.
    """

    def __init__(self) -> None:
        self.raises = False
        """Whether a handler of KeyboardInterrupt is in place, which ends the work under way."""
        self.received = False
        self._said = _thread.allocate_lock()

    def __call__(self, number: int, frame: "FrameType | None") -> None:
        """Answer the signal."""
        self.received = True
        if self.raises and not _is_importing(frame):
            self.raises = False  # A second one ends the process at once.
            raise KeyboardInterrupt
        self.leave()

    def say(self) -> None:
        """Report the interrupt on stderr, once."""
        if self._said.acquire(blocking=False):
            cursor = _SHOW_CURSOR if os.isatty(2) else ""
            try:
                os.write(2, (cursor + LINE).encode())
            except OSError:  # stderr is closed.
                return

    def leave(self) -> None:
        """End the process; files being written are whole or absent (isma.storage)."""
        self.say()
        os._exit(STATUS)

    def watch(self, pipe: int) -> None:
        """End the process a while after SIGINT, even in the middle of a compilation."""
        while number := os.read(pipe, 1):
            if number[0] == signal.SIGINT:
                time.sleep(_GRACE_S)
                self.leave()


def answer() -> None:
    """Take over SIGINT where this process is the program `isma`, and not one that imports it.

    Nothing where the signal is ignored, as in a script's background jobs, and on Windows.
    """
    if not is_program() or os.name == "nt":
        return
    _open_standard_files()
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return
    interrupt = Interrupt()
    signal.signal(signal.SIGINT, interrupt)
    pipe, end = os.pipe()
    os.set_blocking(end, False)
    signal.set_wakeup_fd(end, warn_on_full_buffer=False)
    _thread.start_new_thread(interrupt.watch, (pipe,))


def installed() -> Interrupt | None:
    """Handler of SIGINT in use, if `answer` has taken over."""
    handler = signal.getsignal(signal.SIGINT)
    return handler if isinstance(handler, Interrupt) else None


def _is_importing(frame: "FrameType | None") -> bool:
    """Whether a frame runs on behalf of an import."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def is_program() -> bool:
    """Whether the process was started as `isma`, `python -m isma` or `python -m isma.cli`."""
    words = sys.orig_argv
    typed = os.path.splitext(os.path.basename(sys.argv[0]))[0] if sys.argv else ""
    named = words[words.index("-m") + 1 :][:1] if "-m" in words else []
    return typed == "isma" or named in (["isma"], ["isma.cli"])


def _open_standard_files() -> None:
    """Put nothing where a standard file is closed: else the next file to be opened takes its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)

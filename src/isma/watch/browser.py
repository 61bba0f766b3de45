"""Headless Chromium with the network off, driven over a pipe: opens a page, asks it, takes pictures."""

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from isma.errors import RunError

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_OFF = (
    *("background-timer-throttling", "renderer-backgrounding", "backgrounding-occluded-windows"),
    "background-networking",
    "component-update",
    "sync",
    "default-apps",
    "extensions",
)
_ON = ("headless=new", "no-first-run", "hide-scrollbars", "mute-audio", "remote-debugging-pipe")
_RENDERER = ("disable-gpu", "enable-unsafe-swiftshader")
_ALONE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
"""Pages that this machine serves can be opened, and no others."""
_NEXT_FRAME = "new Promise(done => requestAnimationFrame(() => setTimeout(done, 20)))"
_PATIENCE_S = 120.0
_OF_THE_BROWSER = ("Target.", "SystemInfo.")
"""Methods that no page has."""
_WITH_PIPES = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
for end, place in zip(ends, (3, 4)):
    os.dup2(end, place)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""The browser reads commands at 3 and answers at 4; a shell's redirections know single digits alone."""


def chromium() -> str:
    """Path of the browser. Raises RunError where there is none."""
    found = next((path for path in map(shutil.which, NAMES) if path), None)
    if found is None:
        raise RunError(
            "a picture takes Chromium, and none is on PATH: install chromium, or write the page with "
            "--export and open it in a browser"
        )
    return found


class Browser:
    """Chromium for as long as it is held; one page."""

    def __init__(self, width: int = 1280, height: int = 800, scale: float = 1) -> None:
        self._size = (width, height, scale)
        self._program = chromium()
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._number = 0
        self._session: str | None = None
        self._buffer = b""
        self.complaints: list[str] = []
        """Errors and warnings of the page's console, and uncaught exceptions."""

    def __enter__(self) -> Self:
        """Start it with an empty page."""
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        root = ["--no-sandbox"] if os.geteuid() == 0 else []
        flags = [f"--{name}" for name in (*_ON, *_RENDERER)] + [
            f"--disable-{name}" for name in _OFF
        ]
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-S", "-c", _WITH_PIPES, str(theirs_in), str(theirs_out)),
                *(self._program, *flags, *root, _ALONE),
                *(f"--user-data-dir={self._profile.name}", "about:blank"),
            ],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._out, self._in = ours_out, ours_in
        # The first page is visible; any other one would draw a single frame a second.
        attached = self.send("Target.attachToTarget", targetId=self._page(), flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")
        self.resize(*self._size)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        for end in (self._out, self._in):
            with suppress(OSError):
                os.close(end)
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._profile.cleanup()

    def _page(self) -> str:
        while True:
            targets = self.send("Target.getTargets")["targetInfos"]
            for target in targets:
                if target["type"] == "page":
                    return target["targetId"]
            time.sleep(0.02)

    def send(self, method: str, **parameters: Any) -> Mapping[str, Any]:
        """Call a method of the browser; returns its result. Raises RunError."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None and not method.startswith(_OF_THE_BROWSER):
            message["sessionId"] = self._session
        with suppress(BrokenPipeError):
            os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            response = self._receive()
            if response.get("id") == self._number:
                if "error" in response:
                    raise RunError(f"Chromium refused {method}: {response['error'].get('message')}")
                return response["result"]
            self._note(response)

    def open(self, address: str) -> None:
        """Open a page, and wait until it is loaded."""
        self.send("Page.navigate", url=address)
        self.until("document.readyState === 'complete'")

    def ask(self, expression: str) -> Any:
        """Value of an expression on the page, awaited. Raises RunError."""
        answer = self.send(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise RunError(
                f"the page raised {details.get('exception', details).get('description', details)}"
            )
        return answer["result"].get("value")

    def until(self, expression: str, patience_s: float = _PATIENCE_S) -> None:
        """Wait until an expression is true on the page. Raises RunError."""
        end = time.monotonic() + patience_s
        while not self.ask(f"Boolean({expression})"):
            if time.monotonic() > end:
                said = f"; it said: {self.complaints[0]}" if self.complaints else ""
                raise RunError(f"the page did not come to {expression} in {patience_s:g} s{said}")
            time.sleep(0.02)

    def resize(self, width: int, height: int, scale: float = 1, phone: bool = False) -> None:
        """Give the page another size."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=phone,
        )

    def prefer(self, scheme: str) -> None:
        """Let the page find that its reader prefers light or dark."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.send("Emulation.setEmulatedMedia", features=features)

    def press(self, key: str, shift: bool = False) -> None:
        """Press a key."""
        text = {"Space": " "}.get(key, key)
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, "Home": 36, "End": 35}
        codes |= {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
        code = codes.get(key, ord(text.upper()[0]))
        typed = (
            {"text": "\r" if key == "Enter" else text} if len(text) == 1 or key == "Enter" else {}
        )
        known = {"key": text, "windowsVirtualKeyCode": code, "modifiers": 8 * shift}
        if len(text) > 1:
            known["code"] = text
        self.send("Input.dispatchKeyEvent", type="keyDown", **known, **typed)
        self.send("Input.dispatchKeyEvent", type="keyUp", **known)

    def mouse(self, kind: str, x: float, y: float, shift: bool = False, held: bool = True) -> None:
        """Do something with the mouse: mousePressed, mouseMoved (its button held or not) or mouseReleased."""
        self.send(
            "Input.dispatchMouseEvent",
            type=kind,
            x=x,
            y=y,
            button="left" if held else "none",
            buttons=int(held and kind != "mouseReleased"),
            clickCount=int(kind != "mouseMoved"),
            modifiers=8 * shift,
        )

    def drag(self, *places: tuple[float, float], shift: bool = False) -> None:
        """Press the mouse at the first place, move it over the others, and let it go; one is a click."""
        self.mouse("mouseMoved", *places[0], shift, held=False)
        self.mouse("mousePressed", *places[0], shift)
        for place in places[1:]:
            self.ask(_NEXT_FRAME)  # What moves with the mouse listens from the next frame on.
            self.mouse("mouseMoved", *place, shift)
        self.mouse("mouseReleased", *places[-1], shift)

    def picture(self) -> bytes:
        """PNG of the page as it is seen."""
        return base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"])

    def save(self, path: Path) -> None:
        """Write a picture of the page."""
        path.write_bytes(self.picture())

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            part = os.read(self._in, 1 << 20)
            if not part:
                raise RunError(
                    f"{self._program} ended before it had drawn the page (status {self._process.poll()})"
                )
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def _note(self, event: Mapping[str, Any]) -> None:
        parameters = event.get("params", {})
        match event.get("method"):
            case "Runtime.exceptionThrown":
                details = parameters["exceptionDetails"]
                self.complaints.append(
                    details.get("exception", details).get("description", "error")
                )
            case "Runtime.consoleAPICalled" if parameters["type"] in ("error", "warning", "assert"):
                self.complaints.append(
                    " ".join(str(a.get("value", a.get("description"))) for a in parameters["args"])
                )
            case "Log.entryAdded" if parameters["entry"]["level"] in ("error", "warning"):
                self.complaints.append(parameters["entry"]["text"])

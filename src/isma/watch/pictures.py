"""Pictures and films of a replay's page, taken in headless Chromium."""

import io
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from PIL import Image

from isma.errors import RunError
from isma.storage import write_atomically
from isma.watch.browser import Browser, chromium

_DRAWN = "window.replay?.ready && 'drawn' in document.body.dataset"
FRAMES_PER_S = 10
FILMS = (".gif", ".mp4")
"""Kinds of films, by the end of a file's name."""


@dataclass(frozen=True)
class Shot:
    """How a picture is taken."""

    width: int = 1440
    height: int = 900
    theme: str = "light"
    time_s: float | None = None
    """The moment; None stands for the middle of the run."""
    link: str = ""
    """The part of a page's link from `#` on, which says all the rest."""
    phone: bool = False


def shoot(html: str, path: Path, shot: Shot) -> None:
    """Write a picture of a page as PNG. Raises RunError."""
    with tempfile.TemporaryDirectory() as scratch, _opened(html, Path(scratch), shot) as browser:
        picture = browser.picture()
    write_atomically(path, picture)


def film(
    html: str,
    path: Path,
    shot: Shot,
    seconds: float,
    frames_per_s: int,
    on_share: Callable[[float], None] = lambda share: None,
) -> None:
    """Write a film of the whole run, of a length in seconds. Raises RunError."""
    encode = _encoder(path)
    count = max(2, round(seconds * frames_per_s))
    frames: list[bytes] = []
    with tempfile.TemporaryDirectory() as scratch, _opened(html, Path(scratch), shot) as browser:
        end_s = float(browser.ask("replay.courses[0].endS"))
        for number in range(count):
            browser.ask(_AT.format(end_s * number / (count - 1)))
            frames.append(browser.picture())
            on_share((number + 1) / count)
        write_atomically(path, encode(frames, frames_per_s))


_AT = (
    "(async () => {{ replay.seek({0}); replay.show(); replay.city.deck.redraw('film');"
    " await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done))); }})()"
)


def refuse_without_browser() -> None:
    """Refuse to take pictures where there is no browser. Raises RunError."""
    chromium()


def refuse_kind(path: Path) -> None:
    """Refuse a film that cannot be written, before anything is run. Raises RunError."""
    _encoder(path)


def _opened(html: str, scratch: Path, shot: Shot) -> "_Opened":
    return _Opened(html, scratch, shot)


class _Opened:
    """Browser that shows a page at a moment."""

    def __init__(self, html: str, scratch: Path, shot: Shot) -> None:
        self._page, self._shot = scratch / "replay.html", shot
        self._page.write_text(html)
        self._browser = Browser(shot.width, shot.height)

    def __enter__(self) -> Browser:
        browser, shot = self._browser.__enter__(), self._shot
        browser.resize(shot.width, shot.height, 2 if shot.phone else 1, shot.phone)
        browser.prefer(shot.theme)
        link = shot.link.lstrip("#")
        browser.open(f"{self._page.as_uri()}{'#' + link if link else ''}")
        browser.until(_DRAWN)
        if shot.time_s is not None or not link:
            half = "replay.courses[0].endS / 2"
            browser.ask(_AT.format(half if shot.time_s is None else shot.time_s))
        browser.ask(_AT.format("replay.timeS"))
        return browser

    def __exit__(self, *raised: object) -> None:
        self._browser.__exit__(None, None, None)


def link_of(**view: str | float) -> str:
    """Link of a view: the names that the page's own link uses."""
    return "#" + urlencode(view)


def _encoder(path: Path) -> Callable[[list[bytes], int], bytes]:
    match path.suffix.lower():
        case ".gif":
            return _gif
        case ".mp4":
            program = shutil.which("ffmpeg")
            if program is None:
                raise RunError(
                    f"{path.name}: an mp4 takes ffmpeg, and none is on PATH: install it, or name a .gif"
                )
            return lambda frames, rate: _mp4(program, frames, rate)
    raise RunError(
        f"--record must name a file that ends with {' or '.join(FILMS)}, got {path.name!r}"
    )


def _gif(frames: list[bytes], frames_per_s: int) -> bytes:
    images = [Image.open(io.BytesIO(frame)).convert("RGB") for frame in frames]
    # One palette for all, so that nothing flickers.
    palette = images[len(images) // 2].quantize(256, method=Image.Quantize.MEDIANCUT)
    flat = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    content = io.BytesIO()
    flat[0].save(
        content,
        "GIF",
        save_all=True,
        append_images=flat[1:],
        duration=round(1000 / frames_per_s),
        loop=0,
        optimize=True,
    )
    return content.getvalue()


def _mp4(program: str, frames: list[bytes], frames_per_s: int) -> bytes:
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "film.mp4"
        size = "scale=trunc(iw/2)*2:trunc(ih/2)*2"
        coded = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-vf", size, "-movflags", "+faststart")
        done = subprocess.run(
            [
                *(program, "-loglevel", "error", "-y", "-f", "image2pipe"),
                *("-framerate", str(frames_per_s), "-i", "-", *coded, str(out)),
            ],
            input=b"".join(frames),
            capture_output=True,
            check=False,
        )
        if done.returncode:
            errors = done.stderr.decode(errors="replace").strip().splitlines()
            raise RunError(
                f"ffmpeg could not write the film: {errors[-1] if errors else 'no reason given'}"
            )
        return out.read_bytes()

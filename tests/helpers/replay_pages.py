"""Replay pages in a browser: opened, read, looked at and clicked on."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from isma.watch.browser import Browser

READY = "window.replay?.ready && 'drawn' in document.body.dataset"
DRIVER = "GL Driver Message"
"""Said by a software renderer where it is slow, and no fault of the page."""


def opened(browser: Browser, scratch: Path, html: str, link: str = "") -> Browser:
    """The browser, with a page that is ready."""
    path = scratch / "page.html"
    path.write_text(html)
    browser.complaints.clear()
    browser.open("about:blank")
    browser.open(path.as_uri() + link)
    browser.until(READY)
    return browser


def shown(browser: Browser) -> np.ndarray:
    """Pixels of the map."""
    browser.ask(
        "(async () => { replay.show(); replay.city.deck.redraw('test');"
        " await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done))) })()"
    )
    left, top, wide, high = map(round, box(browser, "#map"))
    image = Image.open(io.BytesIO(browser.picture())).convert("RGB")
    return np.asarray(image)[top : top + high, left : left + wide].astype(int)


def told(browser: Browser, place: str) -> str:
    """Text of a part of the page."""
    return browser.ask(f"document.getElementById('{place}').textContent")


def typed(browser: Browser, place: str, text: str) -> None:
    """Give a field or a list another value."""
    browser.ask(
        f"(() => {{ const field = document.getElementById('{place}'); field.value = {text!r};"
        " field.dispatchEvent(new Event('change')); field.blur(); })()"
    )
    browser.ask("replay.show()")


def box(browser: Browser, selector: str) -> tuple[float, float, float, float]:
    """Left, top, width and height of an element, in pixels."""
    left, top, wide, high = browser.ask(
        "(b => [b.left, b.top, b.width, b.height])"
        f"(document.querySelector({selector!r}).getBoundingClientRect())"
    )
    return left, top, wide, high


def clicked(browser: Browser, selector: str) -> None:
    """Click on the middle of an element, where it has been scrolled to."""
    browser.ask(f"document.querySelector({selector!r}).scrollIntoView({{ block: 'nearest' }})")
    left, top, wide, high = box(browser, selector)
    browser.drag((left + wide / 2, top + high / 2))


def on_map(browser: Browser, place: str, view: int = 0) -> tuple[float, float]:
    """Where a place, an expression of x, y and z in metres, is on the screen."""
    x, y = browser.ask(
        "(() => { replay.show(); replay.city.deck.redraw('test');"
        f" const view = replay.city.deck.getViewports()[{view}],"
        " { left, top } = document.getElementById('map').getBoundingClientRect(),"
        f" [x, y] = view.project({place}); return [x + view.x + left, y + view.y + top]; }})()"
    )
    return x, y

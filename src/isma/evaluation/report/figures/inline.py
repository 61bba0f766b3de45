"""A figure's SVG as a part of a page that opens offline, in light and dark."""

import re

from markupsafe import Markup, escape

from isma.errors import RunError
from isma.evaluation.report.figures import style
from isma.evaluation.report.figures.drawing import Figure

_THEME = {
    style.INK: "var(--ink)",
    style.MUTED: "var(--muted)",
    style.RULE: "var(--rule)",
    style.PAPER: "var(--paper)",
}
_DROPPED = re.compile(
    r"<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->|<metadata>.*?</metadata>|<style.*?</style>", re.DOTALL
)
_PATH = re.compile(r' d="[^"]*"')
_LONG_NUMBER = re.compile(r"(\d+\.\d{2})\d+")
_SIZE = re.compile(r'(<svg[^>]*?) width="[^"]*"| height="[^"]*pt"| xmlns(?::xlink)?="[^"]*"')


def inline(figure: Figure) -> Markup:
    """A figure's SVG for the page: nothing outside, names of its own, the colours of the theme."""
    try:
        svg = figure.svg_path.read_text(encoding="utf-8")
    except OSError as error:
        raise RunError(f"{figure.svg_path}: cannot be read: {error.strerror}") from None
    svg = _SIZE.sub(lambda match: match.group(1) or "", _DROPPED.sub("", svg))
    svg = _PATH.sub(lambda path: _LONG_NUMBER.sub(r"\1", path.group()), svg)
    svg = re.sub(r'\bid="', f'id="{figure.name}-', svg)
    svg = re.sub(r'(?:xlink:)?href="#', f'href="#{figure.name}-', svg).replace(
        "url(#", f"url(#{figure.name}-"
    )
    for colour, name in _THEME.items():
        svg = svg.replace(colour, name)
    label = escape(figure.title)
    head = f'<svg role="img" aria-label="{label}" aria-describedby="{figure.name}-caption"'
    return Markup(svg.strip().replace("<svg", head, 1))

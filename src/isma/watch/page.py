"""Replay's page: one HTML file that holds data, libraries and all, and opens offline."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from isma.replay_format import ReplayFile
from isma.storage import digest

_FIRST, _COMPARED = ("price", "nearest"), ("isma2", "isma", "price", "nearest")
"""Policies that a page opens with, the first that the run has."""
_SCRIPTS = (
    *("course.js", "colours.js", "plain_layers.js", "city.js", "chart.js", "stories.js"),
    *("app.js", "controls.js"),
)
_KEYS = (
    ("Space", "play, pause"),
    ("← →", "a frame back, on (with Shift ten)"),
    ("Home, End", "to the beginning, to the end"),
    ("[ ]", "slower, faster"),
    ("p n", "to the migration before, to the next"),
    ("b", "another policy beside, or none"),
    ("/", "find a user or a server"),
    ("u", "select users"),
    ("f", "follow the chosen user"),
    ("c", "colour users by the next quantity"),
    ("v", "flat, or in perspective"),
    ("w", "the whole city"),
    ("t", "light, dark"),
    ("l", "copy a link that restores all this"),
    ("Esc", "choose and select nothing"),
)


@dataclass(frozen=True)
class PageOptions:
    """How a page is made."""

    live: bool = False
    """Whether it is served, with explanations of decisions and updates of a running run."""
    streets: Sequence[Sequence[tuple[float, float]]] | None = None
    """Lines of a background, in the scenario's metres."""


def render(replays: Sequence[ReplayFile], options: PageOptions = PageOptions()) -> str:
    """The page as text; the same replays give the same page."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("isma.watch", "static"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    header = replays[0].header
    return environment.get_template("page.html.j2").render(
        scenario=header["scenario"],
        about=_about(header),
        sampled=_sampled(header),
        live=options.live,
        keys=_KEYS,
        styles=Markup(
            "\n".join([_vendored("deck.gl.css"), _vendored("uPlot.min.css"), _own("style.css")])
        ),
        data=Markup(_json(_data(replays, options))),
        deck=Markup(base64.b64encode(_bytes("vendor", "deck.gl.min.js.gz")).decode()),
        uplot=Markup(_vendored("uPlot.iife.min.js")),
        scripts=Markup("\n".join(map(_own, _SCRIPTS))),
    )


def _data(replays: Sequence[ReplayFile], options: PageOptions) -> dict[str, Any]:
    policies = [replay.header["policy"] for replay in replays]
    first = next((policies.index(name) for name in _FIRST if name in policies), 0)
    others = [
        name for name in (*_COMPARED, *policies) if name in policies and name != policies[first]
    ]
    return {
        "run": digest(json.dumps([dict(r.header) for r in replays], sort_keys=True).encode())[:10],
        "folder": ".",
        "live": options.live,
        "first": first,
        **({"beside": policies.index(others[0])} if others else {}),
        "streets": options.streets,
        "replays": payload(replays),
    }


def payload(replays: Sequence[ReplayFile]) -> list[dict[str, Any]]:
    """Replays in the page's form: a column equal to the first replay's is `=`."""
    first = [json.loads(line) for line in replays[0].lines]
    trees = [{"header": dict(replays[0].header), "blocks": first}]
    for replay in replays[1:]:
        blocks = [json.loads(line) for line in replay.lines]
        for block, reference in zip(blocks, first, strict=False):
            shared = reference["columns"]
            block["columns"] = {
                name: "=" if shared.get(name) == text else text
                for name, text in block["columns"].items()
            }
        trees.append({"header": dict(replay.header), "blocks": blocks})
    return trees


def _about(header: Mapping[str, Any]) -> str:
    users, servers = header["users"], len(header["server_station"])
    return (
        f"{users:,} users, {servers:,} servers, {header['duration_s']:g} s, world {header['seed']}"
    )


def _sampled(header: Mapping[str, Any]) -> str:
    shown, users = len(header["user_id"]), header["users"]
    drawn = "All users are drawn" if shown == users else f"{shown:,} of {users:,} users are drawn"
    return (
        f"A frame every {header['frame_s']:g} s; between frames users move in straight lines. {drawn}. "
        "Mean delays and counts of migrations are of all users and all tasks, from the first tick on, "
        "the warm-up included; a single user's delay is kept to 0.12 %, places to 5 cm."
    )


def _json(tree: Mapping[str, Any]) -> str:
    """JSON that is safe inside a script: nothing in it opens or closes a tag."""
    text = json.dumps(tree, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _own(name: str) -> str:
    return _bytes("static", name).decode()


def _vendored(name: str) -> str:
    return _bytes("vendor", name).decode()


def _bytes(folder: str, name: str) -> bytes:
    return files("isma.watch").joinpath(folder, name).read_bytes()

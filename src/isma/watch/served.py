"""Local server of a replay's page: explains decisions, and follows a run that is under way."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from isma.errors import IsmaError, RunError
from isma.evaluation.explain import decision
from isma.evaluation.explain.explanation import Explanation
from isma.watch import page, run_replays

HOST = "127.0.0.1"
_MOST_CHOICES = 8


def serve(
    folder: Path,
    options: page.PageOptions,
    policies: Sequence[str] | None,
    port: int,
    on_open: Callable[[str], None],
) -> None:
    """Serve a run's replay until interrupted; `on_open` is called with its address. Raises RunError."""
    server = made(folder, options, policies, port)
    with server:
        on_open(f"http://{HOST}:{server.server_port}/")
        server.serve_forever()


def made(
    folder: Path, options: page.PageOptions, policies: Sequence[str] | None, port: int
) -> ThreadingHTTPServer:
    """Server of a run's replay. Raises RunError where the port is taken."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            query = parse_qs(asked.query)
            # Refused: pages of other sites whose name resolves to this machine (DNS rebinding).
            name = (self.headers.get("Host") or "").rpartition(":")[0]
            if name not in (HOST, "localhost"):
                return self._answer(403, "text/plain", b"this page is for this machine alone")
            try:
                match asked.path:
                    case "/":
                        text = page.render(run_replays.recorded(folder, policies), options)
                        self._answer(200, "text/html; charset=utf-8", text.encode())
                    case "/blocks":
                        self._json(_since(run_replays.recorded(folder, policies), query))
                    case "/explain":
                        self._json(_explained(folder, query))
                    case _:
                        self._answer(404, "text/plain", b"there is nothing here")
            except IsmaError as error:
                self._json({"error": str(error)})

        def _json(self, tree: Mapping[str, Any]) -> None:
            self._answer(200, "application/json", json.dumps(tree).encode())

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet: the terminal shows the address alone."""

    try:
        server = ThreadingHTTPServer((HOST, port), Handler)
    except OSError as error:
        raise RunError(
            f"port {port} cannot be used: {error.strerror}; give another with --port, or 0 for any"
        ) from None
    server.daemon_threads = True
    return server


def _since(replays: Sequence[Any], query: Mapping[str, list[str]]) -> dict[str, Any]:
    """Blocks that the page does not have yet: its query has the number for each policy."""
    trees = []
    for tree in page.payload(replays):
        try:
            has = max(0, int(query.get(tree["header"]["policy"], ["0"])[0]))
        except ValueError:
            has = 0
        trees.append({"blocks": tree["blocks"][has:]})
    return {"policies": [r.header["policy"] for r in replays], "replays": trees}


def _explained(folder: Path, query: Mapping[str, list[str]]) -> dict[str, Any]:
    """Explanation of a decision that the page asks for. Raises IsmaError."""
    try:
        user, time_s = int(query["user"][0]), float(query["time"][0])
        policy = query["policy"][0]
    except (KeyError, ValueError):
        raise RunError("an explanation takes user, time and policy") from None
    if not math.isfinite(time_s):
        raise RunError(f"time must be a number, got {time_s}")
    return answer_of(decision.explain(folder, user, time_s, policy))


def answer_of(explanation: Explanation) -> dict[str, Any]:
    """Explanation in the page's form."""
    marks = {explanation.host: " (host)", explanation.target: " (chosen)"}
    if explanation.host == explanation.target:
        marks = {explanation.host: " (host, chosen)"}
    kept = [*explanation.choices[:_MOST_CHOICES]]
    kept += [c for c in explanation.choices[_MOST_CHOICES:] if c.server in marks]
    fields = ("own_s", "others_s", "later_s", "cost_s")
    return {
        "why": explanation.why,
        "choices": [
            {
                "server": choice.server,
                "mark": marks.get(choice.server, ""),
                "hops": choice.hops,
                "load": choice.load,
                # JSON has no infinity: a server that was not planned with has null.
                **{f: v if math.isfinite(v := getattr(choice, f)) else None for f in fields},
            }
            for choice in kept
        ],
    }

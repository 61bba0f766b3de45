"""Errors as HTTP knows them: problem documents (RFC 9457)."""

import json
from typing import Any

from aiohttp import web

_BASE = "urn:isma:problem:"
TITLES = {
    "moved": (421, "the context is served by another agent"),
    "moving": (503, "the service is being handed over"),
    "unavailable": (503, "the service does not answer"),
    "journal-full": (507, "the agent's disk takes nothing more; nothing has happened"),
    "full": (503, "there is no room for one more context"),
    "unknown-context": (404, "this agent has never heard of the context"),
    "ended": (410, "the user has ended the service"),
    "forbidden": (403, "the certificate does not allow this"),
    "not-found": (404, "there is no such place"),
    "malformed": (400, "the request is not as the OpenAPI document says"),
    "too-large": (413, "the body is larger than this agent takes"),
    "too-many": (429, "more requests than a user may send"),
    "out-of-order": (409, "the piece does not come next"),
    "slow": (408, "the request did not come, or was not done, in time"),
    "method": (405, "the place does not take this method"),
}
"""Kinds with their status and title."""


def problem(kind: str, detail: str = "", after_s: float | None = None, **more: Any) -> web.Response:
    """An error's response; `after_s` says when to come again."""
    status, title = TITLES[kind]
    body = {"type": _BASE + kind, "title": title, "status": status, **more}
    if detail:
        body["detail"] = detail
    headers = {} if after_s is None else {"Retry-After": f"{max(after_s, 0):.0f}"}
    if after_s is not None:
        body["retryAfterS"] = after_s
    text = json.dumps(body)
    return web.Response(
        status=status, text=text, headers=headers, content_type="application/problem+json"
    )

"""HTTP interface of an agent: task requests and tasks of users, hand-over between agents, and status."""

import asyncio
import hashlib
import json
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec
from aiohttp import web

from isma.agent import tracing
from isma.agent.agent import Agent, NoRoomError
from isma.agent.decisions import TaskRequest
from isma.agent.identity import Identity, Kind, of_certificate
from isma.agent.journal import JournalFullError
from isma.agent.migrator import ServiceError
from isma.agent.openapi import document
from isma.agent.ownership.rules import route
from isma.agent.ownership.vocabulary import Elsewhere, Here, Later, Nowhere
from isma.agent.peers import Envelope
from isma.agent.problems import problem
from isma.agent.pushes import TooManyListenersError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
AGENT = web.AppKey("agent", Agent)
IDENTITY = web.RequestKey("identity", Identity)
_CONTEXT = "{context:[a-z0-9-]{1,80}}"
_NUMBERS = "{epoch:[0-9]{1,15}}/{attempt:[0-9]{1,15}}"
_DIGEST = "{digest:[0-9a-f]{64}}"
_KEY = re.compile(r"[\x21-\x7e]{1,128}")
_MOVING_S = 0.02
_ALIVE_S = 15.0
"""Longest silence of a stream, so that its user can tell a live agent from a dead one."""


def app(agent: Agent) -> web.Application:
    """Web application with all routes of an agent."""
    made = web.Application(middlewares=[_guarded], client_max_size=agent.config.limits.body_bytes)
    made[AGENT] = agent
    made.add_routes(
        [
            web.get("/healthz", _health),
            web.get("/readyz", _ready),
            web.get("/metrics", _metrics),
            web.get("/openapi.json", _openapi),
            web.get("/isma/v1/status", _status),
            web.post("/isma/v1/contexts", _create),
            web.post(f"/isma/v1/contexts/{_CONTEXT}/task-requests", _request),
            web.get(f"/isma/v1/contexts/{_CONTEXT}/decisions", _decisions),
            web.post(f"/isma/v1/contexts/{_CONTEXT}/tasks", _task),
            web.delete(f"/isma/v1/contexts/{_CONTEXT}", _close),
            web.post("/isma/v1/handover", _message),
            web.get(f"/isma/v1/handover/{_CONTEXT}/{_NUMBERS}", _size),
            web.put(f"/isma/v1/handover/{_CONTEXT}/{_NUMBERS}", _piece),
            web.put(f"/isma/v1/handover/{_CONTEXT}/{_NUMBERS}/baselines/{_DIGEST}", _baseline),
        ]
    )
    made.on_shutdown.append(_end_pushes)
    return made


async def _end_pushes(application: web.Application) -> None:
    application[AGENT].pushes.end()


@web.middleware
async def _guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Authenticate, limit the rate of requests, and answer every error with a problem document."""
    agent = request.app[AGENT]
    transport = request.transport
    identity = of_certificate(transport.get_extra_info("peercert") if transport else None)
    if identity is None:
        agent.meters.refused.labels("no name").inc()
        return problem(
            "forbidden", "a certificate must have one DNS name, NAME.user.isma or NAME.agent.isma"
        )
    request[IDENTITY] = identity
    tracing.enter(tracing.received(request.headers.get(tracing.HEADER)))
    limit_s = agent.config.limits.request_s
    if identity.kind is Kind.USER and not agent.budget.takes(identity.name):
        agent.meters.refused.labels("too many").inc()
        return problem("too-many", after_s=1)
    try:
        async with asyncio.timeout(None if request.match_info.handler is _decisions else limit_s):
            answer = await handler(request)
    except TimeoutError:
        answer = problem("slow")
    except web.HTTPRequestEntityTooLarge:
        answer = problem("too-large")
    except web.HTTPNotFound:
        answer = problem("not-found")
    except web.HTTPMethodNotAllowed:
        answer = problem("method")
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        answer = problem("malformed", str(error)[:200])
    except NoRoomError as error:
        answer = problem("full", str(error), after_s=5)
    except JournalFullError:
        answer = problem("journal-full", after_s=5)
    agent.meters.requests.labels(str(answer.status)).inc()
    return answer


def _forbidden(request: web.Request, why: str) -> web.Response:
    request.app[AGENT].meters.refused.labels("not allowed").inc()
    return problem("forbidden", why)


async def _health(request: web.Request) -> web.Response:
    return web.json_response({"status": "alive"})


async def _ready(request: web.Request) -> web.Response:
    missing = request.app[AGENT].missing()
    return web.json_response(
        {"ready": not missing, "missing": missing}, status=503 if missing else 200
    )


async def _metrics(request: web.Request) -> web.Response:
    return web.Response(body=request.app[AGENT].meters.text(), content_type="text/plain")


async def _openapi(request: web.Request) -> web.Response:
    return web.json_response(document())


async def _status(request: web.Request) -> web.Response:
    if request[IDENTITY].kind is not Kind.AGENT:
        return _forbidden(request, "the status is for agents' certificates")
    return web.json_response(request.app[AGENT].status())


# Users.


def _key(request: web.Request) -> str:
    key = request.headers.get("Idempotency-Key", "")
    if not _KEY.fullmatch(key):
        raise ValueError("Idempotency-Key must be 1 to 128 visible characters")
    return key


def _elsewhere(agent: Agent, context: str) -> web.Response | int:
    """The epoch if this agent serves the context, or where and when to ask."""
    match route(agent.runtime.ledger.contexts.get(context)):
        case Here(epoch):
            return epoch
        case Later(epoch):
            return problem("moving", after_s=_MOVING_S, epoch=epoch)
        case Elsewhere(owner, epoch):
            address = agent.address(owner)
            more = {"owner": owner, "epoch": epoch, "referenceURI": address}
            return problem("moved", contextId=context, **more)
        case Nowhere(ended):
            return problem("ended" if ended else "unknown-context")


async def _create(request: web.Request) -> web.Response:
    agent, identity = request.app[AGENT], request[IDENTITY]
    if identity.kind is not Kind.USER:
        return _forbidden(request, "contexts are for users' certificates")
    wanted = msgspec.json.decode(await request.read(), type=TaskRequest)
    unique = f"{identity.name}\n{_key(request)}".encode()
    context = f"{agent.config.name}-{hashlib.sha256(unique).hexdigest()[:20]}"
    agent.create(context, identity.name, wanted)
    place = _elsewhere(agent, context)
    if isinstance(place, web.Response):
        return place
    return _decision(agent, context, place, status=201)


async def _request(request: web.Request) -> web.Response:
    agent, context = request.app[AGENT], request.match_info["context"]
    wanted = msgspec.json.decode(await request.read(), type=TaskRequest)
    _key(request)
    place = _mine(request)
    if isinstance(place, web.Response):
        return place
    agent.requested(context, wanted)
    return _decision(agent, context, place)


def _decision(agent: Agent, context: str, epoch: int, status: int = 200) -> web.Response:
    return web.json_response(agent.answer(context, epoch), status=status)


def _mine(request: web.Request) -> web.Response | int:
    """Variant of `_elsewhere` that lets only a context's own user in."""
    agent, context = request.app[AGENT], request.match_info["context"]
    place = _elsewhere(agent, context)
    if isinstance(place, int) and agent.user(context) != request[IDENTITY].name:
        return _forbidden(request, "the context is another user's")
    return place


async def _decisions(request: web.Request) -> web.StreamResponse:
    """Push the present decision, each new one, and the service's new host (server-sent events)."""
    agent, context = request.app[AGENT], request.match_info["context"]
    place = _mine(request)
    if isinstance(place, web.Response):
        return place
    try:
        with agent.pushes.listen(context) as news:
            return await _pushed(request, agent, context, news)
    except TooManyListenersError:
        return problem("too-many", "a context has at most a few listeners", after_s=5)


async def _pushed(
    request: web.Request, agent: Agent, context: str, news: asyncio.Event
) -> web.StreamResponse:
    answer = web.StreamResponse()
    answer.content_type = "text/event-stream"
    answer.headers["Cache-Control"] = "no-store"
    limit_s = agent.config.limits.request_s
    try:
        await answer.prepare(request)
        while not agent.pushes.ended:
            news.clear()
            kind, frame = _frame(agent, context)
            async with asyncio.timeout(limit_s):  # The user may not read.
                await answer.write(frame)
            if kind in ("moved", "ended"):
                break
            with suppress(TimeoutError):
                await asyncio.wait_for(news.wait(), _ALIVE_S)
    except (ConnectionError, TimeoutError):
        answer.force_close()
    return answer


def _frame(agent: Agent, context: str) -> tuple[str, bytes]:
    """Event with a context's present decision; a comment while its service is being handed over."""
    place = _elsewhere(agent, context)
    if not isinstance(place, int):
        assert isinstance(place.body, bytes)
        kind = str(json.loads(place.body)["type"]).rpartition(":")[2]
        if kind == "moving":
            return kind, b": moving\n\n"
        return kind, f"event: {kind}\ndata: {place.body.decode()}\n\n".encode()
    payload = json.dumps(agent.answer(context, place))
    return "decision", f"event: decision\ndata: {payload}\n\n".encode()


async def _task(request: web.Request) -> web.Response:
    agent, context = request.app[AGENT], request.match_info["context"]
    key, body = _key(request), await request.read()
    place = _mine(request)
    if isinstance(place, web.Response):
        return place
    try:
        status, answer = await agent.migrator.task(context, place, key, body)
    except ServiceError as error:
        return problem("unavailable", str(error), after_s=0.2)
    if status == 409:  # The fence refused: the context has moved, as this agent knows or will soon.
        again = _mine(request)
        return again if isinstance(again, web.Response) else problem("moving", after_s=_MOVING_S)
    headers = {"x-isma-epoch": str(place)}
    return web.Response(
        status=status, body=answer, headers=headers, content_type="application/json"
    )


async def _close(request: web.Request) -> web.Response:
    agent, context = request.app[AGENT], request.match_info["context"]
    place = _mine(request)
    if isinstance(place, web.Response):
        return place
    agent.end(context)
    ended = isinstance(route(agent.runtime.ledger.contexts.get(context)), Nowhere)
    return web.Response(status=204) if ended else problem("moving", after_s=_MOVING_S)


# Agents.


def _refuse_outsider(request: web.Request) -> web.Response | None:
    identity, peers = request[IDENTITY], request.app[AGENT].config.peers
    if identity.kind is Kind.AGENT and identity.name in peers:
        return None
    return _forbidden(request, "hand-over is for the agents in this one's config")


async def _message(request: web.Request) -> web.Response:
    agent = request.app[AGENT]
    if (refusal := _refuse_outsider(request)) is not None:
        return refusal
    envelope = msgspec.json.decode(await request.read(), type=Envelope)
    agent.runtime.receive(envelope.context, request[IDENTITY].name, envelope.message)
    return web.Response(status=204)


def _attempt(request: web.Request) -> tuple[str, int, int]:
    place = request.match_info
    return place["context"], int(place["epoch"]), int(place["attempt"])


async def _size(request: web.Request) -> web.Response:
    if (refusal := _refuse_outsider(request)) is not None:
        return refusal
    return web.Response(text=str(request.app[AGENT].runtime.spool.size(*_attempt(request))))


async def _piece(request: web.Request) -> web.Response:
    agent, (context, epoch, attempt) = request.app[AGENT], _attempt(request)
    if (refusal := _refuse_outsider(request)) is not None:
        return refusal
    if not agent.runtime.expects(context, request[IDENTITY].name, epoch, attempt):
        return problem("out-of-order", "nothing is kept for this attempt")
    offset, taken = int(request.query.get("offset", "0")), True
    try:
        async for chunk in request.content.iter_any():
            taken = taken and agent.runtime.take(context, epoch, attempt, offset, chunk)
            if not taken:
                break
            offset += len(chunk)
    except OSError as error:
        return problem("journal-full", error.strerror or "", after_s=5)
    return web.Response(status=204) if taken else problem("out-of-order")


async def _baseline(request: web.Request) -> web.Response:
    agent, (context, epoch, attempt) = request.app[AGENT], _attempt(request)
    if (refusal := _refuse_outsider(request)) is not None:
        return refusal
    if not agent.runtime.expects(context, request[IDENTITY].name, epoch, attempt):
        return problem("out-of-order", "nothing is kept for this attempt")
    pieces, size = list[bytes](), 0
    async for chunk in request.content.iter_any():
        pieces.append(chunk)
        size += len(chunk)
        agent.runtime.renew_lease(context)
        if size > agent.config.limits.snapshot_bytes:
            return problem("too-large")
    kept = await agent.runtime.keep_baseline(
        context, request.match_info["digest"], b"".join(pieces)
    )
    return web.Response(status=204) if kept else problem("unavailable", after_s=1)

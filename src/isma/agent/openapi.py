"""The OpenAPI 3.1 document of an agent, made from the types that it decodes."""

from typing import Any

import msgspec

from isma.agent.decisions import TaskRequest
from isma.agent.peers import Envelope
from isma.agent.problems import TITLES

_REF = "#/components/schemas/{name}"
_KEY = {"name": "Idempotency-Key", "in": "header", "required": True, "schema": {"type": "string"}}


def document() -> dict[str, Any]:
    """All places that an agent answers."""
    (wanted, envelope), schemas = msgspec.json.schema_components(
        [TaskRequest, Envelope], ref_template=_REF
    )
    schemas["Decision"] = _decision()
    schemas["Problem"] = _problem()
    decision, context = {"$ref": _REF.format(name="Decision")}, _path("context", "string")
    attempt = [context, _path("epoch", "integer"), _path("attempt", "integer")]
    paths: dict[str, Any] = {
        "/healthz": {"get": _place("The process is alive.")},
        "/readyz": {"get": _place("Whether all is there that must be.")},
        "/metrics": {"get": _place("Counters for Prometheus.")},
        "/openapi.json": {"get": _place("This document.")},
        "/isma/v1/status": {"get": _place("Contexts and their states; for agents.")},
        "/isma/v1/contexts": {
            "post": _place("A task request of a newcomer.", wanted, decision, [_KEY], 201)
        },
        "/isma/v1/contexts/{context}": {
            "delete": _place("End the service.", parameters=[context], status=204)
        },
        "/isma/v1/contexts/{context}/task-requests": {
            "post": _place("A task request.", wanted, decision, [context, _KEY])
        },
        "/isma/v1/contexts/{context}/decisions": {
            "get": _place("Decisions as they are taken: server-sent events.", parameters=[context])
        },
        "/isma/v1/contexts/{context}/tasks": {
            "post": _place("A task for the service.", {}, {}, [context, _KEY])
        },
        "/isma/v1/handover": {"post": _place("A message of another agent.", envelope, status=204)},
        "/isma/v1/handover/{context}/{epoch}/{attempt}": {
            "get": _place("Bytes of a snapshot that have come.", parameters=attempt),
            "put": _place(
                "The next bytes of a snapshot.",
                parameters=[
                    *attempt,
                    {"name": "offset", "in": "query", "schema": {"type": "integer"}},
                ],
                status=204,
            ),
        },
        "/isma/v1/handover/{context}/{epoch}/{attempt}/baselines/{digest}": {
            "put": _place(
                "A copy of a running service, to which its snapshot will be a delta.",
                parameters=[*attempt, _path("digest", "string")],
                status=204,
            ),
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "isma edge agent", "version": "1"},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _path(name: str, kind: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": kind}}


def _place(
    what: str,
    body: dict[str, Any] | None = None,
    answer: dict[str, Any] | None = None,
    parameters: list[dict[str, Any]] | None = None,
    status: int = 200,
) -> dict[str, Any]:
    done: dict[str, Any] = {"description": "Done."}
    if answer is not None:
        done["content"] = {"application/json": {"schema": answer}}
    problem = {"application/problem+json": {"schema": {"$ref": _REF.format(name="Problem")}}}
    place: dict[str, Any] = {
        "summary": what,
        "responses": {
            str(status): done,
            "default": {"description": "Not done.", "content": problem},
        },
    }
    if body is not None:
        place["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    if parameters:
        place["parameters"] = parameters
    return place


def _decision() -> dict[str, Any]:
    number, text = {"type": "number"}, {"type": "string"}
    fields = {
        "contextId": text,
        "referenceURI": text,
        "offloadingRatio": number,
        "cpuShare": number,
        "epoch": {"type": "integer"},
        "reason": text,
        "validUntil": number,
        "policy": text,
        "modelDigest": text,
    }
    return {"type": "object", "properties": fields, "required": list(fields)}


def _problem() -> dict[str, Any]:
    fields = {
        "type": {"type": "string", "enum": [f"urn:isma:problem:{kind}" for kind in TITLES]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "retryAfterS": {"type": "number"},
        "contextId": {"type": "string"},
        "owner": {"type": "string"},
        "referenceURI": {"type": ["string", "null"]},
        "epoch": {"type": "integer"},
    }
    return {"type": "object", "properties": fields, "required": ["type", "title", "status"]}

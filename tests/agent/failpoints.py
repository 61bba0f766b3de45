"""Agents that kill themselves (-9) at one point; the product knows nothing of it.

A failpoint is NAME:WHAT:WHEN, as b:Ready:before (its record in the journal) or a:Send-Activate:after (the
effect).
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from isma.agent.config import read
from isma.agent.journal import Journal
from isma.agent.ownership.vocabulary import Send
from isma.agent.peers import Peers
from isma.agent.runtime import Runtime
from isma.agent.serve import serve


def plant(name: str, failpoint: str) -> None:
    """Put the kill in, if it is for this agent."""
    who, what, when = failpoint.split(":")
    if who != name:
        return

    def here(found: str, moment: str) -> None:
        if (found, moment) == (what, when):
            os.kill(os.getpid(), signal.SIGKILL)

    def around(owner: type, method: str, found: Callable[..., str]) -> None:
        usual = getattr(owner, method)

        def wrapped(self: Any, *told: Any) -> Any:
            here(found(*told), "before")
            done = usual(self, *told)
            here(found(*told), "after")
            return done

        setattr(owner, method, wrapped)

    around(Journal, "write", lambda context, state, about: type(state).__name__)
    around(
        Runtime,
        "_do",
        lambda context, effect: "" if isinstance(effect, Send) else type(effect).__name__,
    )
    send = Peers.send

    async def sent(self: Peers, to: str, about: str, message: Any, payload: Any) -> None:
        here(f"Send-{type(message).__name__}", "before")
        await send(self, to, about, message, payload)
        here(f"Send-{type(message).__name__}", "after")

    Peers.send = sent  # pyright: ignore[reportAttributeAccessIssue]


def agent(folder: Path, name: str, failpoint: str) -> None:
    """Be an agent of a folder from now on, with its log there; an empty failpoint is none."""
    os.chdir(folder)
    log = os.open(f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (sys.stdout.fileno(), sys.stderr.fileno()):
        os.dup2(log, stream)
    if failpoint:
        plant(name, failpoint)
    serve(read(Path(f"{name}.toml")))

"""Run an agent that kills itself (-9) at one point: python -m agent.failpoints --config a.toml.

ISMA_TEST_FAILPOINT is NAME:WHAT:WHEN, as b:Ready:before (its record in the journal) or
a:Send-Activate:after (the effect). The product knows nothing of it.
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

VARIABLE = "ISMA_TEST_FAILPOINT"


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


if __name__ == "__main__":
    config = read(Path(sys.argv[sys.argv.index("--config") + 1]))
    if os.environ.get(VARIABLE):
        plant(config.name, os.environ[VARIABLE])
    serve(config)

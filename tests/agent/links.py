"""Services that move over bad links, on real sockets: PYTHONPATH=src:tests python -m agent.links --moves 200.

Connections are reset in the middle of anything, links held back in one direction or both, and messages
between agents lost, sent twice, and sent late and so in another order. A user counts all the while.
"""

import argparse
import asyncio
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from agent.local import NAMES, Local, local, wanted
from agent.proxy import TcpProxy, tcp_links
from isma.agent.agent import Agent
from isma.agent.ownership.rules import route
from isma.agent.ownership.vocabulary import Here, Message, Serving
from isma.agent.peers import PeerError
from isma.client import Client

ADD = b'{"add": 1}'
_LOSS, _TWICE, _LATE_S, _FAULT_S = 0.1, 0.2, 0.05, 0.15
_MOST_WAIT_S = 120.0


class Adversary:
    """Does something to a link every now and then, and to the messages of each agent."""

    def __init__(self, seed: int) -> None:
        self.drawn, self.done, self.is_over = random.Random(seed), Counter[str](), False

    def unruly(self, agent: Agent) -> None:
        """Lose, double and delay what an agent says to the others."""
        usual = agent._peers.send

        async def send(to: str, about: str, message: Message, payload: bytes | None) -> None:
            if self.is_over:
                return await usual(to, about, message, payload)
            if self.drawn.random() < _LOSS:
                self.done["messages lost"] += 1
                raise PeerError("lost")
            again = self.drawn.random() < _TWICE
            self.done["messages twice"] += again
            for _ in range(1 + again):
                self.done["messages late"] += 1
                await asyncio.sleep(self.drawn.random() * _LATE_S)
                await usual(to, about, message, payload)

        agent._peers.send = send

    async def play(self, links: dict[tuple[str, str], TcpProxy]) -> None:
        """One fault after another; then all heals."""
        faults = ("cut", "hold there", "hold back", "partition", "slow")
        while not self.is_over:
            fault, (name, link) = self.drawn.choice(faults), self.drawn.choice([*links.items()])
            self.done[fault] += 1
            if fault == "cut":
                link.cut()
            elif fault == "slow":
                link.delay_s = 0.02
            elif fault == "partition":
                for one in (link, links[name[::-1]]):
                    one.held = frozenset({"there", "back"})
            else:
                link.held = frozenset({fault.split()[1]})
            await asyncio.sleep(self.drawn.random() * _FAULT_S)
            for one in (link, links[name[::-1]]):
                one.held, one.delay_s = frozenset(), 0.0


async def count_for_ever(ann: Client, outcomes: list[int]) -> None:
    """Count, and never mind what becomes of the answers: the same key is asked again."""
    while True:
        told: Any = await ann.task(ADD, f"k{len(outcomes)}")
        outcomes.append(told["count"])
        await asyncio.sleep(0.02)


async def play(folder: Path, seed: int, moves: int) -> tuple[list[str], Counter[str]]:
    """All that went wrong, and what was done to the links."""
    adversary, outcomes = Adversary(seed), list[int]()
    async with (
        local(folder, resend_s=0.05, lease_s=0.3) as cluster,
        tcp_links(cluster.ports) as links,
        cluster.client("ann") as ann,
    ):
        for name in NAMES:
            cluster.link(name, {to: link.port for (at, to), link in links.items() if at == name})
            adversary.unruly(cluster.agents[name])
        await ann.begin("a", wanted("a"))
        counting = asyncio.create_task(count_for_ever(ann, outcomes))
        attacking = asyncio.create_task(adversary.play(links))
        for number in range(moves):
            await follow(cluster, ann.context, NAMES[(number + 1) % 3])
        adversary.is_over = True
        await attacking
        wrong = await settled(cluster, ann.context)
        counting.cancel()
        await asyncio.gather(counting, return_exceptions=True)
        last = (await ann.task(ADD, f"k{len(outcomes)}"))["count"]
    adversary.done["moves"] = moves
    adversary.done["requests"] = len(outcomes)
    if [*outcomes, last] != list(range(1, len(outcomes) + 2)):
        wrong.append(f"counts {outcomes} and {last}")
    return wrong, adversary.done


def owners(cluster: Local, context: str) -> list[str]:
    """Agents that would let a request through."""
    states = {
        name: one.runtime.ledger.contexts.get(context) for name, one in cluster.agents.items()
    }
    return [name for name, state in states.items() if isinstance(route(state), Here)]


async def follow(cluster: Local, context: str, to: str) -> None:
    """Have whoever owns it move a service, until it is there."""
    for _ in range(int(_MOST_WAIT_S / 0.02)):
        for name in owners(cluster, context):
            state = cluster.agents[name].runtime.ledger.contexts[context]
            if name == to and isinstance(state, Serving):
                return
            if isinstance(state, Serving):
                cluster.agents[name].requested(context, wanted(to))
                cluster.agents[name].decide(context)
        await asyncio.sleep(0.02)
    raise AssertionError(f"the service must come to {to}")


async def settled(cluster: Local, context: str) -> list[str]:
    """What the agents do not agree on after all has healed."""
    for _ in range(int(_MOST_WAIT_S / 0.02)):
        states = [one.runtime.ledger.contexts.get(context) for one in cluster.agents.values()]
        kinds = sorted(type(state).__name__ for state in states)
        if kinds == ["Moved", "Moved", "Serving"]:
            return []
        await asyncio.sleep(0.02)
    return [f"states after healing: {states}"]


def main() -> int:
    """Move a service over bad links; the status is 1 if anything went wrong."""
    parser = argparse.ArgumentParser(prog="python -m agent.links", description=__doc__)
    parser.add_argument("--moves", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wrong, done = asyncio.run(play(Path(folder), asked.seed, asked.moves))
    print(", ".join(f"{number} {what}" for what, number in sorted(done.items())))
    print("".join(f"{one}\n" for one in wrong) + f"{len(wrong)} violations")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

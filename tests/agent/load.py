"""Load on real agents in processes of their own, in three parts.

    PYTHONPATH=src:tests python -m agent.load rate --requests 20000
    PYTHONPATH=src:tests python -m agent.load moves --requests 100000 --moves 1000 --kills 50
    PYTHONPATH=src:tests python -m agent.load start

`rate`: tasks as fast as one agent does them, and the CPU that each takes. `moves`: tasks of users whose
services move all the time, while agents are killed (-9). `start`: from the start of an agent with `isma2` to
its first answer and to its planner's, and from a kill to the first task done after it; its memory.
"""

import argparse
import asyncio
import json
import os
import shutil
import sys
import time
from pathlib import Path

import uvloop

from isma.agent.decisions import TaskRequest
from isma.agent.identity import Identity, Kind
from isma.agent.init import write
from isma.client import Client
from isma.demo.hosts import Hosts
from isma.demo.summary import downtimes_ms, percentile
from isma.demo.users import account

ADD = b'{"add": 1}'
_TICKS = os.sysconf("SC_CLK_TCK")


def wanted(station: str) -> TaskRequest:
    return TaskRequest(station, 4e6, 1e9, 1e9, 1.0)


def cpu_s(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_mb(process: int) -> float:
    text = Path(f"/proc/{process}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024


def prepared(folder: Path, agents: list[str], users: list[str], **more: str) -> Hosts:
    """Hosts of agents that decide often, let users come as often as they like, and do not broadcast."""
    shutil.rmtree(folder, ignore_errors=True)
    hosts = Hosts(folder)
    write(folder, agents, hosts.first_port, users, authority=True)
    for name in agents:
        path = folder / f"{name}.toml"
        text = path.read_text()
        text = text[: text.index("[broadcast]")] + more.get("tables", "")
        text = text.replace("# decision_period_s = 1.0", "decision_period_s = 0.2")
        path.write_text(text + "\n[limits]\nrequests_per_s = 1e6\n")
    return hosts


def clients(hosts: Hosts, agents: list[str], users: list[str]) -> list[Client]:
    addresses = {name: hosts.address(name) for name in agents}
    return [Client(one, addresses, hosts.tls(Identity(Kind.USER, one)), 300) for one in users]


async def rate(folder: Path, requests: int, users: int = 8) -> dict[str, float]:
    """Tasks on one agent: how many a second, how long each, CPU of the agent and of the service."""
    names = [f"u{number}" for number in range(users)]
    hosts = prepared(folder, ["a"], names)
    times_s: list[float] = []

    async def ask(client: Client) -> None:
        for _ in range(requests // users):
            began_s = time.monotonic()
            await client.task(ADD)
            times_s.append(time.monotonic() - began_s)

    try:
        await hosts.start(["a"])
        there = clients(hosts, ["a"], names)
        for one in there:
            await one.begin("a", wanted("a"))
            await one.task(ADD)
        ids = [hosts._processes[name].pid for name in ("a", "a-counter")]
        before, began_s = [cpu_s(one) for one in ids], time.monotonic()
        await asyncio.gather(*map(ask, there))
        took_s = time.monotonic() - began_s
        used = [cpu_s(one) - old for one, old in zip(ids, before, strict=True)]
        for one in there:
            await one.__aexit__()
    finally:
        await hosts.end()
    rising_ms = sorted(1_000 * one for one in times_s)
    return {
        "requests": len(times_s),
        "requests_per_s": round(len(times_s) / took_s, 1),
        "p50_ms": percentile(rising_ms, 50),
        "p99_ms": percentile(rising_ms, 99),
        "agent_cpu_ms_each": round(1_000 * used[0] / len(times_s), 3),
        "service_cpu_ms_each": round(1_000 * used[1] / len(times_s), 3),
    }


async def moves(
    folder: Path, requests: int, least_moves: int, kills: int, users: int = 12
) -> dict[str, float]:
    """Tasks of users who are at another station every second, until there were so many of both."""
    names, agents = [f"u{number}" for number in range(users)], ["a", "b", "c"]
    hosts = prepared(folder, agents, names)
    outcomes: dict[str, list[int]] = {name: [] for name in names}
    moved = dict.fromkeys(names, 0)

    def is_over() -> bool:
        return sum(map(len, outcomes.values())) >= requests and sum(moved.values()) >= least_moves

    async def use(client: Client, place: int) -> None:
        await client.begin(agents[place % 3], wanted(agents[place % 3]), f"{client.user}-begin")
        asked_s = time.monotonic()
        while not is_over():
            if time.monotonic() - asked_s > 1.0:
                place, asked_s = place + 1, time.monotonic()
                await client.request(wanted(agents[place % 3]))
            at, done = client.agent, outcomes[client.user]
            done.append((await client.task(ADD, f"{client.user}-{len(done)}"))["count"])
            moved[client.user] += client.agent != at

    try:
        await hosts.start(agents)
        there = clients(hosts, agents, names)
        killer = asyncio.create_task(hosts.kill_now_and_then(kills, 4.0 * kills))
        began_s = time.monotonic()
        await asyncio.gather(*(use(client, place) for place, client in enumerate(there)))
        took_s = time.monotonic() - began_s
        await killer
        counts = []
        for client in there:
            final = (await client.task(b'{"add": 0}', f"{client.user}-end"))["count"]
            counts.append(account(outcomes[client.user], final, 0))
            await client.__aexit__()
    finally:
        await hosts.end()
    times_ms = downtimes_ms([hosts.log(name) for name in agents])
    return {
        "seconds": round(took_s, 1),
        "requests": sum(count.acknowledged for count in counts),
        "migrations": len(times_ms),
        "kills": hosts.kills,
        "lost": sum(count.lost for count in counts),
        "doubled": sum(count.doubled for count in counts),
        "downtime_ms_p50": percentile(times_ms, 50),
        "downtime_ms_p99": percentile(times_ms, 99),
    }


async def start(folder: Path) -> dict[str, float]:
    """Times of an agent with a planner, and its memory; the CPU is that of both processes."""
    tables = '\n[policy]\nnames = ["price", "isma2"]\nscenario = "paper"\ndeadline_s = 1.0\n'
    hosts = prepared(folder, ["a"], ["ann"], tables=tables)
    began_s = time.monotonic()
    try:
        await hosts.start(["a"])
        answers_s = time.monotonic() - began_s
        (ann,) = clients(hosts, ["a"], ["ann"])
        await ann.begin("a", wanted("a"))
        while not (await ann.request(wanted("a"))).reason.startswith("isma2"):
            await asyncio.sleep(0.05)
        planned_s = time.monotonic() - began_s
        agent = hosts._processes["a"]
        (worker,) = Path(f"/proc/{agent.pid}/task/{agent.pid}/children").read_text().split()
        used_s = {"agent": cpu_s(agent.pid), "planner": cpu_s(int(worker))}
        memory = resident_mb(agent.pid), resident_mb(int(worker))
        await ann.task(ADD)
        agent.kill()
        await agent.wait()
        again_s = time.monotonic()
        await hosts.start_agent("a")
        await ann.task(ADD)
        recovered_s = time.monotonic() - again_s
        cpu_again_s = cpu_s(hosts._processes["a"].pid)
        await ann.__aexit__()
    finally:
        await hosts.end()
    return {
        "first_answer_s": round(answers_s, 2),
        "planner_answers_s": round(planned_s, 2),
        "agent_cpu_s": round(used_s["agent"], 2),
        "planner_cpu_s": round(used_s["planner"], 2),
        "agent_mb": round(memory[0], 1),
        "planner_mb": round(memory[1], 1),
        "recovered_s": round(recovered_s, 2),
        "recovered_cpu_s": round(cpu_again_s, 2),
    }


def main() -> int:
    """Run one part; the status is 1 if anything was lost or done twice."""
    parser = argparse.ArgumentParser(prog="python -m agent.load", description=__doc__)
    parser.add_argument("part", choices=("rate", "moves", "start"))
    parser.add_argument("--out", type=Path, default=Path("runs/load"))
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--moves", type=int, default=1_000)
    parser.add_argument("--kills", type=int, default=50)
    asked = parser.parse_args()
    folder = asked.out.resolve()
    if asked.part == "rate":
        found = uvloop.run(rate(folder, asked.requests))
    elif asked.part == "moves":
        found = uvloop.run(moves(folder, asked.requests, asked.moves, asked.kills))
    else:
        found = uvloop.run(start(folder))
    print(json.dumps(found))
    return 1 if found.get("lost") or found.get("doubled") else 0


if __name__ == "__main__":
    sys.exit(main())

"""Run the demonstration and write its results: python -m isma.demo --out runs/demo-edge."""

import argparse
import asyncio
import json
import shutil
import sys
import time
from itertools import islice
from pathlib import Path

from isma.agent.identity import Identity, Kind
from isma.agent.init import write
from isma.demo.hosts import Hosts
from isma.demo.summary import downtimes_ms, percentile
from isma.demo.users import User, drive, trajectories
from isma.storage import write_atomically

NAMES = ("a", "b", "c")
_LEAST_MIGRATIONS = 50


def main() -> int:
    """Run it; the status is 0 if nothing was lost or done twice, and services moved often enough."""
    parser = argparse.ArgumentParser(prog="python -m isma.demo", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/demo-edge"))
    parser.add_argument("--seconds", type=float, default=90.0)
    parser.add_argument("--kills", type=int, default=0, help="times that an agent is killed (-9)")
    parser.add_argument("--users", type=int, default=12, help="users, at most 12")
    parser.add_argument(
        "--state-bytes", type=int, default=0, help="random bytes that travel with each service"
    )
    parser.add_argument(
        "--whole", action="store_true", help="move all of a state at once, without pre-copy"
    )
    asked = parser.parse_args()
    summary = asyncio.run(
        run(
            asked.out.resolve(),
            asked.seconds,
            asked.kills,
            asked.users,
            asked.state_bytes,
            asked.whole,
        )
    )
    print(
        f"{summary['requests']} requests, {summary['migrations']} migrations; downtime p50 "
        f"{summary['downtime_ms_p50']} ms, p99 {summary['downtime_ms_p99']} ms; "
        f"lost {summary['lost']}, doubled {summary['doubled']}"
    )
    print(asked.out / "summary.json")
    least = _LEAST_MIGRATIONS * asked.seconds / 90.0 * asked.users / 12
    moved = summary["migrations"] >= least
    return 0 if moved and not summary["lost"] and not summary["doubled"] else 1


async def run(
    out: Path,
    seconds: float,
    kills: int = 0,
    users: int = 12,
    state_bytes: int = 0,
    whole: bool = False,
) -> dict[str, float]:
    """Start all, let users drive for a while, end all, and judge."""
    shutil.rmtree(out, ignore_errors=True)
    paths = dict(islice(trajectories().items(), users))
    hosts = Hosts(out, state_bytes, whole)
    write(out, list(NAMES), hosts.first_port, list(paths), authority=True)
    try:
        await hosts.start(NAMES)
        print(
            f"{len(NAMES)} agents are ready; {len(paths)} users drive for {seconds:.0f} s",
            flush=True,
        )
        addresses = {name: hosts.address(name) for name in NAMES}
        driving = [User(name, addresses, hosts.tls(Identity(Kind.USER, name))) for name in paths]
        began_s = time.monotonic()
        killer = asyncio.create_task(hosts.kill_now_and_then(kills, seconds))
        await asyncio.gather(*(drive(user, paths[user.name], began_s, seconds) for user in driving))
        await killer
        counts = [await user.judge() for user in driving]
    finally:
        await hosts.end()
    times_ms = downtimes_ms([hosts.log(name) for name in NAMES])
    summary: dict[str, float] = {
        "requests": sum(count.acknowledged for count in counts),
        "migrations": len(times_ms),
        "lost": sum(count.lost for count in counts),
        "doubled": sum(count.doubled for count in counts),
        "downtime_ms_p50": percentile(times_ms, 50),
        "downtime_ms_p99": percentile(times_ms, 99),
        "kills": hosts.kills,
    }
    write_atomically(out / "summary.json", (json.dumps(summary, indent=2) + "\n").encode())
    return summary


if __name__ == "__main__":
    sys.exit(main())

"""Your city: sites and trajectories from CSV files become a scenario, and policies are compared in it.

    python your_city.py                            a made-up bus line
    python your_city.py --trace T.csv --sites S.csv

The sites need an id, a latitude and a longitude; the trace a user's id, a time, a latitude and a
longitude. What the columns are called is found out, and said.
"""

import argparse
import csv
import math
from pathlib import Path

import isma


def main(arguments: list[str] | None = None) -> isma.Run:
    """Import, say what was found, compare."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--trace", type=Path, help="CSV of fixes; without it a bus line is made up")
    asked.add_argument("--sites", type=Path, help="CSV of base stations")
    asked.add_argument("--duration", type=float, default=600.0, help="seconds to simulate")
    asked.add_argument("--policies", default="nearest,greedy,price")
    asked.add_argument("--out", type=Path, default=Path("runs/your-city"))
    given = asked.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    trace, sites = given.trace, given.sites
    if trace is None or sites is None:
        trace, sites = bus_line(given.out, given.duration)
    city = isma.import_trace(trace, given.out / "city.toml", sites, duration_s=given.duration)
    print("\n".join(city.lines))
    run = isma.compare(city.file, policies=given.policies, seeds=1, out=given.out / "run")
    print(run.summary[["policy", "mean_s", "above_bound_ratio"]].to_string(index=False))
    print("\n".join(run.findings))
    print(run.report)
    return run


def bus_line(folder: Path, duration_s: float) -> tuple[Path, Path]:
    """Eight base stations along a road, and twelve buses that go up and down at 36 km/h."""
    trace, sites = folder / "trace.csv", folder / "sites.csv"
    with sites.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("site_id", "latitude", "longitude"))
        rows.writerows((f"s{place}", 48.2, 16.30 + 0.01 * place) for place in range(8))
    with trace.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("vehicle", "time", "latitude", "longitude"))
        for bus in range(12):
            for time_s in range(0, math.ceil(duration_s) + 61, 20):
                way = (time_s / 520 + bus / 6) % 2  # 0.07 degrees are 5.2 km here.
                along = min(way, 2 - way)
                rows.writerow((f"b{bus}", 1_700_000_000 + time_s, 48.2003, 16.30 + 0.07 * along))
    return trace, sites


if __name__ == "__main__":
    main()

"""Figure 4 of the paper run again: mean delay against the servers' CPU clock, with a verdict on each claim.

The scale `smoke` only shows that everything runs; `reduced` takes hours, and its verdicts are those of
the documentation (docs/method/reproduction).
"""

import argparse
from pathlib import Path

import isma


def main(arguments: list[str] | None = None) -> Path:
    """Run the figure, print the claims."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--scale", default="smoke", choices=("smoke", "reduced", "full"))
    asked.add_argument("--out", type=Path, default=Path("runs/figure-4"))
    given = asked.parse_args(arguments)
    folder, (result,) = isma.reproduce("fig4", scale=given.scale, out=given.out)
    print(result.figure.title)
    for found in result.findings:
        print(f"{found.claim}: the paper {found.paper}, here {found.measured:.1%}: {found.verdict}")
    print(folder / "reproduction.html")
    return folder


if __name__ == "__main__":
    main()

"""The planner's process: reads situations from stdin, writes proposals to stdout, a line of JSON each.

    python -m isma.agent.worker --scenario paper price isma2

The policies decide in order, the cheapest first; an error of one is reported and does not stop the others.
"""

import argparse
import os
import sys
from pathlib import Path

import msgspec

from isma.agent.brain import Brain
from isma.agent.situation import AgentView, Proposal
from isma.errors import IsmaError
from isma.policies import registry
from isma.policies.learned.checkpoints import SHIPPED
from isma.world import files


def main() -> int:
    """Propose until stdin ends."""
    parser = argparse.ArgumentParser(prog="python -m isma.agent.worker", description=__doc__)
    parser.add_argument("--scenario", default="paper")
    parser.add_argument("--signer", type=Path, help="public key that must have signed all weights")
    parser.add_argument("policies", nargs="+")
    asked = parser.parse_args()
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # Prints of a policy are no proposals.
    try:
        brains = brains_of(asked.policies, asked.scenario, asked.signer)
    except IsmaError as error:
        print(f"isma: {error}", file=sys.stderr)
        return 1
    for line in sys.stdin.buffer:
        situation = msgspec.json.decode(line, type=AgentView)
        for brain in brains:
            out.write(msgspec.json.encode(proposed(brain, situation)) + b"\n")
    return 0


def brains_of(policies: list[str], scenario: str, signer: Path | None = None) -> list[Brain]:
    """A brain for each policy; weights are read only after their signature is verified. Raises IsmaError."""
    registry.refuse_outside(policies, "the agent's config", "install it as a policy of isma")
    for policy in policies if signer is not None else []:
        _check_signatures(policy, signer)
    loaded = files.load(scenario)
    return [Brain(name, loaded) for name in policies]


def _check_signatures(policy: str, signer: Path | None) -> None:
    """Refuse unsigned weights that isma does not ship. Raises IsmaError."""
    from isma.agent import signatures

    for checkpoint in registry.checkpoints(policy):
        if signer is not None and not checkpoint.is_relative_to(SHIPPED.parent):
            signatures.check(checkpoint, signer)


def proposed(brain: Brain, situation: AgentView) -> Proposal:
    """A policy's proposal, or its error."""
    try:
        return brain.propose(situation)
    except Exception as error:  # A policy may raise anything: the next one answers.
        message = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return Proposal(situation.number, brain.name, brain.digest, error=message)


if __name__ == "__main__":
    sys.exit(main())

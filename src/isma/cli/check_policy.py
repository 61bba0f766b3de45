"""`isma check-policy`: does a policy keep to the contract?"""

from typing import Annotated

import typer

from isma import api
from isma.cli.terminal import SetOption, overrides_of, policy_names
from isma.errors import PolicyError
from isma.evaluation.conformance.rules import RuleOutcome
from isma.world import files


def check_policy(
    policy: Annotated[str, typer.Argument(help="a name, or package.module:Class")],
    scenario: Annotated[
        str, typer.Option(help="a preset's name or a TOML file, in whose worlds it is tried")
    ] = "paper",
    set_: SetOption = None,
) -> None:
    """Try a policy on every rule of the contract: shapes, ranges, determinism, no peeking, memory."""
    policy_names(policy)
    verdicts = api.check_policy(policy, files.load(scenario, overrides_of(set_)))
    for verdict in verdicts:
        typer.echo(verdict.line)
    broken = [verdict.rule.value for verdict in verdicts if verdict.outcome is RuleOutcome.BROKEN]
    if broken:
        raise PolicyError(
            f"{policy} breaks {len(broken)} of {len(verdicts)} rules: {', '.join(broken)}"
        )

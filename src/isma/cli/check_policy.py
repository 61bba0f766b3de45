"""`isma check-policy`: does a policy keep to the contract?"""

from dataclasses import asdict
from typing import Annotated

import typer

from isma import api
from isma.cli.output import JsonOption, QuietOption, print_json
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
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Try a policy on every rule of the contract: shapes, ranges, determinism, no peeking, memory."""
    policy_names(policy)
    verdicts = api.check_policy(policy, files.load(scenario, overrides_of(set_)))
    if json:
        print_json({"policy": policy, "rules": [asdict(verdict) for verdict in verdicts]})
    for verdict in [] if quiet or json else verdicts:
        typer.echo(verdict.line)
    broken = [verdict.rule.value for verdict in verdicts if verdict.outcome is RuleOutcome.BROKEN]
    if broken:
        raise PolicyError(
            f"{policy} breaks {len(broken)} of {len(verdicts)} rules: {', '.join(broken)}"
        )

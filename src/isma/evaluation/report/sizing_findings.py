"""Number of servers that is enough for a limit of p95, in sentences."""

from collections.abc import Sequence

from isma.evaluation.comparison.tables import Run
from isma.evaluation.plan import SERVERS
from isma.evaluation.report import formatting
from isma.evaluation.report.formatting import duration
from isma.evaluation.report.sizing import ServerNeed, needs


def answers(run: Run) -> list[str]:
    """The fewest servers that keep the limit, then what each policy needs; nothing without a limit."""
    said = []
    for other, needed in needs(run).items():
        sentences = [_first(needed), *(_each(need) for need in needed if need is not needed[0])]
        if other is not None:
            field = next(name for name in run.vary if name != SERVERS)
            at = f"At {field} = {formatting.setting(field, other)}: "
            sentences = [at + sentence for sentence in sentences]
        said += sentences
    return said


def _first(needed: Sequence[ServerNeed]) -> str:
    """The answer: with the policy that needs fewest."""
    best = needed[0]
    done = f"95 % of tasks are done within {formatting.setting('limit_s', best.limit_s)}"
    if best.fewest is None:
        tried = _numbers(list(best.p95_s))
        nearest = min(needed, key=lambda need: need.p95_s[need.best])
        return (
            f"No number of servers that was tried ({tried}) is enough: {done} with none. The nearest "
            f"to it is `{nearest.policy}` with {nearest.best}: {duration(nearest.p95_s[nearest.best])}."
        )
    verb = "servers are" if best.fewest != 1 else "server is"
    return f"{best.fewest} {verb} enough, with `{best.policy}`: {done}{_evidence(best)}."


def _each(need: ServerNeed) -> str:
    """Need of one of the other policies."""
    if need.fewest is None:
        least = duration(need.p95_s[need.best])
        return f"`{need.policy}` does not get there: {least} at best, with {need.best} servers."
    noun = "servers" if need.fewest != 1 else "server"
    return f"`{need.policy}` needs {need.fewest} {noun}{_evidence(need)}."


def _evidence(need: ServerNeed) -> str:
    """The p95 at that number and at the next fewer; and where more servers are not enough again."""
    assert need.fewest is not None
    at = duration(need.p95_s[need.fewest])
    if need.fewer is None:
        text = f" ({at}; fewer were not tried)"
    else:
        text = f" ({at}; {duration(need.p95_s[need.fewer])} with {need.fewer})"
    if need.again_above:
        text += f", but not with {_numbers(need.again_above)}"
    return text


def _numbers(values: Sequence[int]) -> str:
    *most, last = map(str, values)
    return f"{', '.join(most)} and {last}" if most else last

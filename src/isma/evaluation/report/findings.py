"""Findings of a run, in sentences computed from its tables.

Names of policies stand between backticks. A sentence that starts with `Caution:` limits the others.
"""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from isma.evaluation.comparison.precision import FEWEST_SEEDS, PRECISE, needed, widest
from isma.evaluation.comparison.score import Gap, Score
from isma.evaluation.comparison.tables import Point, Run
from isma.evaluation.report import formatting
from isma.evaluation.report.formatting import duration, number, percent, percent_span
from isma.evaluation.report.sizing_findings import answers
from isma.policies import registry

CAUTION = "Caution: "
"""Beginning of a sentence on a limit of the run."""

_NEAREST, _LOCAL = "nearest", "local"
_SIMPLE = {"local", "random", "stay", "nearest", "threshold"}
_OVERLOADED = 0.05
_LATE = 0.001
_EQUAL = 1e-9
_MOST_NAMED = 4
_TIMED = ("decision_ms_p50", "decision_ms_p99")
"""Columns that differ from run to run."""


def findings(run: Run) -> list[str]:
    """Findings of the run, the most important first; cautions last."""
    if not run.ranked(run.points[0]) and run.references:
        listed = _listed(sorted(run.references))
        return [f"Only references were run ({listed}): nobody can run them, so add a policy."]
    idle = _idle(run)
    said = [_changes_nothing(field) for field in idle]
    if len(idle) < len(run.vary):
        said += _over_points(run)
    else:
        said += _at_one_point(run, run.points[0])
    return [*answers(run), *said, *_loads(run), *_cautions(run)]


def _idle(run: Run) -> list[str]:
    """Varied fields over which nothing differs, to the last digit, for any policy."""
    columns = [name for name in run.summary.columns if name not in (*run.vary, *_TIMED)]
    idle = []
    for field in run.vary:
        others = [name for name in run.vary if name != field]
        kept = run.summary[[*others, *columns]].drop_duplicates()
        if len(run.levels(field)) > 1 and len(kept) * len(run.levels(field)) == len(run.summary):
            idle.append(field)
    return idle


def _changes_nothing(field: str) -> str:
    return (
        f"{field} changes nothing here: all points are equal to the last digit, for every policy. "
        "What it belongs to is switched off, or no policy of this run makes use of it."
    )


def _at_one_point(run: Run, point: Point) -> list[str]:
    ranked = run.ranked(point)
    best = ranked[0]
    said = [_first(best), *_lead(ranked)]
    said += _against_nearest(run, point, ranked)
    said += _references(run, point, best)
    said += _bound(best)
    said += _without_offloading(ranked)
    return said + _moves(ranked)


def _first(best: Score) -> str:
    text = f"`{best.policy}` is fastest: a task takes {duration(best.mean_s)} on average"
    if not (math.isfinite(best.mean_s_low) and math.isfinite(best.mean_s_high)):
        return f"{text}."
    over = "users" if best.unit == "user" else "worlds"
    span = formatting.span(best.mean_s_low, best.mean_s_high)
    return f"{text} (95 % interval over {over} {span})."


def _lead(ranked: list[Score]) -> list[str]:
    """How far the runner-up is, and whether that is more than chance."""
    if len(ranked) < 2:
        return ["No other policy was run, so there is nothing to compare it with."]
    level = [row for row in ranked[1:] if not row.above_best.certain]
    gap, name = ranked[1].above_best, f"`{ranked[1].policy}`"
    if abs(gap.ratio) < _EQUAL:
        same = [row.policy for row in level if abs(row.above_best_ratio) < _EQUAL]
        return [f"{_listed(same)} {'comes' if len(same) == 1 else 'come'} to the same mean."]
    if math.isnan(gap.low):
        return [f"The runner-up, {name}, takes {percent(gap.ratio)} longer; {_unknown(ranked)}."]
    if gap.certain:
        lead = f"The runner-up, {name}, takes {percent(gap.ratio)} longer ({_paired(gap)})"
        return [f"{lead}: more than chance."]
    rest = [row.policy for row in level[1:]]
    also = f" {_listed(rest)} cannot be told from it either." if rest else ""
    lead = f"{name} takes {percent(gap.ratio)} longer ({_paired(gap)})"
    return [f"{lead}: not more than chance, so either may be the better one.{also}"]


def _against_nearest(run: Run, point: Point, ranked: list[Score]) -> list[str]:
    """The rule `nearest`: its cost, and policies that lose to it."""
    order = [row.policy for row in ranked]
    if _NEAREST not in order:
        return []
    place = order.index(_NEAREST)
    said = []
    if place > 1:
        gap = ranked[place].above_best
        cost = f"Following the radio (`{_NEAREST}`) takes {percent(gap.ratio)} longer"
        said.append(f"{cost}{_certainty(gap)}.")
    for policy in _losing(ranked):
        gap = run.gap(point, policy, _NEAREST)
        how = "loses to" if gap.certain or math.isnan(gap.low) else "is not ahead of"
        said.append(
            f"`{policy}` {how} `{_NEAREST}`, one line of common sense: it takes "
            f"{percent(gap.ratio)} longer{_certainty(gap)}."
        )
    return said


def _losing(ranked: list[Score]) -> list[str]:
    """Policies that are slower than `nearest` although they are more than a rule."""
    nearest = [row.mean_s for row in ranked if row.policy == _NEAREST]
    return [
        row.policy
        for row in ranked
        if nearest and row.mean_s > nearest[0] and row.policy not in _SIMPLE
    ]


def _references(run: Run, point: Point, best: Score) -> list[str]:
    """Distance of the best policy from references that cannot be run in practice."""
    said = []
    for row in run.standing(point):
        if not row.reference:
            continue
        above = best.mean_s / row.mean_s - 1
        note = ": its own search is not the best there is" if above < 0 else ""
        if row.above_best.low <= 0 <= row.above_best.high:
            note = ": not more than chance"
        said.append(
            f"`{best.policy}` is {_side(above)} `{row.policy}`, a reference that nobody can run, "
            f"since it sees what no policy may see{note}."
        )
    return said


def _bound(best: Score) -> list[str]:
    above = best.above_bound_ratio
    if not (math.isfinite(above) and math.isfinite(best.bound_s)):
        return []
    if above < 0:
        return [
            f"{CAUTION}`{best.policy}` is {percent(-above)} below the lower bound of "
            f"{duration(best.bound_s)}, which cannot be: one of the two is wrong."
        ]
    return [
        f"No policy can be below {duration(best.bound_s)}; `{best.policy}` is {percent(above)} "
        "above that bound, and more than this nobody can gain here."
    ]


def _without_offloading(ranked: list[Score]) -> list[str]:
    local = [row.mean_s for row in ranked if row.policy == _LOCAL]
    if not local or len(ranked) < 2:
        return []
    if ranked[0].policy == _LOCAL:
        return [f"Offloading does not pay here: `{_LOCAL}` offloads nothing and is fastest."]
    times = local[0] / ranked[0].mean_s
    how = f"{number(times, 2)} times as long" if times >= 2 else f"{percent(times - 1)} longer"
    return [f"Without offloading (`{_LOCAL}`) a task takes {duration(local[0])}, {how}."]


def _moves(ranked: list[Score]) -> list[str]:
    best = ranked[0]
    moves, radio = best.migrations_per_user_hour, best.handovers_per_user_hour
    if not math.isfinite(moves):
        return []
    if moves == 0:
        return [f"`{best.policy}` never moves a service."]
    text = f"`{best.policy}` moves a service {_times(moves)} per user and hour"
    if math.isfinite(radio):
        text += f"; radios change station {_times(radio)}"
    nearest = [row.migrations_per_user_hour for row in ranked[1:] if row.policy == _NEAREST]
    if nearest:
        text += f", and `{_NEAREST}` moves services {_times(nearest[0])}"
    return [f"{text}."]


def _over_points(run: Run) -> list[str]:
    """Winners along `--vary`, their leads, and the cost of `nearest`."""
    ranked = {point: rows for point in run.points if (rows := run.ranked(point))}
    said = [_winners(run, {point: rows[0].policy for point, rows in ranked.items()})]
    leads = [rows[1].above_best for rows in ranked.values() if len(rows) > 1]
    if leads:
        said.append(
            f"The winner's lead over the runner-up is {_reach([gap.ratio for gap in leads])}, and "
            f"more than chance at {sum(gap.certain for gap in leads)} of {len(leads)} points."
        )
    everywhere = [row for rows in ranked.values() for row in rows]
    nearest = [row.above_best_ratio for row in everywhere if row.policy == _NEAREST]
    if any(ratio > _EQUAL for ratio in nearest):
        said.append(
            f"Following the radio (`{_NEAREST}`) takes {_reach(nearest)} longer than the winner."
        )
    lost = Counter(policy for rows in ranked.values() for policy in _losing(rows))
    said += [
        f"`{policy}` loses to `{_NEAREST}`, one line of common sense, at {count} of {len(ranked)} "
        "points."
        for policy, count in lost.items()
    ]
    said += _references_over(run, ranked)
    above = [rows[0].above_bound_ratio for rows in ranked.values()]
    known = [ratio for ratio in above if math.isfinite(ratio)]
    if known and min(known) < 0:
        said.append(
            f"{CAUTION}a winner is below the lower bound somewhere: one of the two is wrong."
        )
    elif known:
        said.append(f"The winner is {_reach(known)} above the lower bound.")
    return said


def _winners(run: Run, winners: dict[Point, str]) -> str:
    names = list(dict.fromkeys(winners.values()))
    if len(names) == 1:
        return f"`{names[0]}` is fastest at all {len(winners)} points of {' and '.join(run.vary)}."
    if len(run.vary) == 2:
        counts = [f"`{name}` at {list(winners.values()).count(name)}" for name in names]
        return (
            f"The winner changes over {' and '.join(run.vary)}: of {len(winners)} points "
            f"{_joined(counts)}."
        )
    field = run.vary[0]
    runs = [
        (winner, [point[0] for point, _ in group])
        for winner, group in groupby(winners.items(), key=lambda item: item[1])
    ]
    parts = []
    for winner, values in runs:
        if run.numeric(field) and len(values) > 1:
            where = formatting.setting(field, [values[0], values[-1]])
            parts.append(f"`{winner}` {'' if parts else 'is fastest '}from {where}")
        else:
            at = _joined([formatting.setting(field, value) for value in values])
            parts.append(f"`{winner}` {'' if parts else 'is fastest '}at {at}")
    return f"The winner changes along {field}: {_joined(parts)}."


def _references_over(run: Run, ranked: dict[Point, list[Score]]) -> list[str]:
    """Distance of the winners from references that cannot be run in practice."""
    above: dict[str, list[float]] = {}
    for point, rows in ranked.items():
        for row in run.standing(point):
            if row.reference:
                above.setdefault(row.policy, []).append(rows[0].mean_s / row.mean_s - 1)
    return [
        f"The winner is {_sides(ratios)} `{policy}`, a reference that nobody can run."
        for policy, ratios in above.items()
    ]


def _loads(run: Run) -> list[str]:
    """Which policies ask servers for more than they have, and which miss deadlines."""
    asked: dict[str, float] = {}
    late: dict[str, float] = {}
    for row in _able(run):
        asked[row.policy] = max(asked.get(row.policy, 0.0), row.overload_ratio)
        late[row.policy] = max(late.get(row.policy, 0.0), row.deadline_miss_ratio)
    up_to = "up to " if run.vary else ""
    said = []
    if shares := _shares(asked, _OVERLOADED):
        said.append(
            f"Servers are asked for more than their whole CPU in {up_to}{shares} of server-ticks."
        )
    if shares := _shares(late, _LATE):
        said.append(f"Tasks slower than doing them locally: {up_to}{shares}.")
    return said


def _cautions(run: Run) -> list[str]:
    """Cautions: findings for which the run is too short, too small or too lopsided."""
    rows = _able(run)
    said = []
    by_seed = any(row.unit != "user" for row in rows)
    on_trace = run.config.get("mobility", {}).get("kind") == "trace"
    seeds = min((int(row.seeds) for row in rows if math.isfinite(row.seeds)), default=0)
    if seeds < 2 and not on_trace:
        what = "no interval" if by_seed else "intervals over the users of that one world"
        said.append(
            f"{CAUTION}one seed gives {what}; in another world the order may differ. Run at least "
            f"{FEWEST_SEEDS} seeds, better eight."
        )
    elif 1 < seeds < FEWEST_SEEDS and by_seed:
        said.append(
            f"{CAUTION}{seeds} seeds say next to nothing about how worlds differ: an interval from so "
            "few (Student's t) may even reach below 0. Run more, better eight."
        )
    wide = widest(rows)
    if wide is not None and wide[1] > PRECISE and (seeds > 1 or on_trace):
        policy, half = wide
        if not by_seed:
            advice = "run a longer window or more users"
        elif seeds < FEWEST_SEEDS:
            advice = "run more seeds"
        else:
            advice = _more_seeds(run, needed(seeds, half))
        said.append(
            f"{CAUTION}the distance of `{policy}` to the best is known to ±{percent(half)} only, "
            f"and {percent(PRECISE)} is the aim: {advice}."
        )
    return said


def _more_seeds(run: Run, wanted: int) -> str:
    """Command to type in the run's folder; policies of one's own have to be typed again."""
    first = min(run.config["run"].get("seeds", [0]))
    seeds = f"{first}..{first + wanted - 1}" if first else f"{wanted}"
    if run.config["run"].get("given"):
        return f"run more seeds (about {number(wanted, 2)})"
    outside = any(map(registry.is_outside, run.policies))
    policies = f" --policies {','.join(run.policies)}" if outside else ""
    command = f"isma compare . --seeds {seeds}{policies}"
    return f"run more seeds (about {number(wanted, 2)}), in its folder by `{command}`"


def _able(run: Run) -> list[Score]:
    return [row for point in run.points for row in run.ranked(point)]


def _side(ratio: float) -> str:
    return f"{percent(ratio)} above" if ratio >= 0 else f"{percent(-ratio)} below"


def _sides(ratios: Sequence[float]) -> str:
    """How far above or below something a range of ratios lies."""
    if min(ratios) >= 0:
        return f"{_reach(ratios)} above"
    if max(ratios) < 0:
        return f"{_reach([-ratio for ratio in ratios])} below"
    return f"between {_side(min(ratios))} and {_side(max(ratios))}"


def _paired(gap: Gap) -> str:
    return f"paired 95 % interval {percent_span(gap.low, gap.high)}"


def _certainty(gap: Gap) -> str:
    if math.isnan(gap.low):
        return ""
    chance = "" if gap.certain else ", not more than chance"
    return f" ({percent_span(gap.low, gap.high)}{chance})"


def _unknown(ranked: list[Score]) -> str:
    one = all(row.seeds == 1 and row.unit == "seed" for row in ranked)
    return f"{'with one seed' if one else 'without an interval'} nobody can say if that is chance"


def _reach(ratios: Sequence[float]) -> str:
    known = [ratio for ratio in ratios if math.isfinite(ratio)] or [math.nan]
    low, high = min(known), max(known)
    close = formatting.percent_number(low) == formatting.percent_number(high)
    return percent(low) if close else percent_span(low, high)


def _shares(shares: dict[str, float], least: float) -> str:
    """Policies with at least some share, the largest first; empty where there are none."""
    large = sorted(
        ((policy, share) for policy, share in shares.items() if share >= least),
        key=lambda pair: -pair[1],
    )
    parts = [f"{percent(share)} (`{policy}`)" for policy, share in large]
    if len(parts) > _MOST_NAMED:
        return f"{_joined(parts[:_MOST_NAMED])} and less for {len(parts) - _MOST_NAMED} others"
    return _joined(parts)


def _times(count: float) -> str:
    return "never" if count == 0 else f"{number(count, 2 if count < 100 else 3)} times"


def _listed(policies: Sequence[str]) -> str:
    return _joined([f"`{policy}`" for policy in policies])


def _joined(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)

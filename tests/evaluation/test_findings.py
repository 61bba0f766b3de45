"""The sentences of a run, from tables made by hand."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from isma.evaluation.comparison.score import COLUMNS, Score
from isma.evaluation.comparison.tables import Run
from isma.evaluation.report import formatting
from isma.evaluation.report.findings import CAUTION, findings

NAN = math.nan


def score(policy: str, mean_s: float, above: tuple[float, float, float], **changes: Any) -> Score:
    values: dict[str, Any] = dict.fromkeys(COLUMNS, 0.0) | {
        "policy": policy,
        "reference": policy == "full-information",
        "mean_s": mean_s,
        "mean_s_low": 0.95 * mean_s,
        "mean_s_high": 1.05 * mean_s,
        "above_best_ratio": above[0],
        "above_best_low": above[1],
        "above_best_high": above[2],
        "migrations_per_user_hour": 42.0,
        "handovers_per_user_hour": 55.0,
        "bound_s": 29.0,
        "above_bound_ratio": mean_s / 29.0 - 1,
        "seeds": 8.0,
        "unit": "seed",
    }
    return Score(**(values | changes))


def run_of(*scores: Score, points: dict[str, list[Any]] | None = None, **config: Any) -> Run:
    """A run whose summary is these rows; `points` gives each row its place in `--vary`."""
    points = points or {}
    summary = pd.DataFrame([dataclasses.asdict(row) for row in scores]).assign(**points)
    seeds = pd.concat(
        summary.assign(seed=seed, mean_s=(1 + 0.1 * seed) * summary["mean_s"]) for seed in (0, 1)
    )
    empty = pd.DataFrame()
    return Run(
        folder=Path(),
        config={"run": {}} | config,
        vary=tuple(points),
        summary=summary,
        seeds=seeds,
        users=empty,
        distribution=empty,
        timeline=empty,
        load_by_server=empty,
        snapshot=empty,
        trail=empty,
        sites=empty,
        links=empty,
    )


BEST = score("price", 30.0, (0.0, 0.0, 0.0))
GREEDY = score("greedy", 30.9, (0.03, 0.028, 0.032))
NEAREST = score("nearest", 31.5, (0.05, 0.048, 0.052))
LOCAL = score("local", 300.0, (9.0, 8.9, 9.1))
FULL = score("full-information", 29.7, (-0.01, -0.011, -0.009))


def test_an_ordinary_run_says_who_wins_by_how_much_and_what_is_left() -> None:
    said = findings(run_of(LOCAL, NEAREST, GREEDY, BEST, FULL))
    assert said == [
        "`price` is fastest: a task takes 30.0 s on average (95 % interval over worlds 28.5 to "
        "31.5 s).",
        "The runner-up, `greedy`, takes 3.0 % longer (paired 95 % interval 2.8 to 3.2 %): more "
        "than chance.",
        "Following the radio (`nearest`) takes 5.0 % longer (4.8 to 5.2 %).",
        # 30 / 29.7 = 1.0101
        "`price` is 1.0 % above `full-information`, a reference that nobody can run, since it sees "
        "what no policy may see.",
        # 30 / 29 = 1.0345
        "No policy can be below 29.0 s; `price` is 3.4 % above that bound, and more than this "
        "nobody can gain here.",
        "Without offloading (`local`) a task takes 300 s, 10 times as long.",
        "`price` moves a service 42 times per user and hour; radios change station 55 times, and "
        "`nearest` moves services 42 times.",
    ]


def test_a_lead_that_holds_zero_is_not_more_than_chance() -> None:
    close = score("greedy", 30.03, (0.001, -0.002, 0.004))
    closer = score("mdp", 30.06, (0.002, -0.001, 0.005))
    said = findings(run_of(BEST, close, closer))
    assert said[1] == (
        "`greedy` takes 0.1 % longer (paired 95 % interval −0.2 to 0.4 %): not more than chance, "
        "so either may be the better one. `mdp` cannot be told from it either."
    )


def test_equal_means_are_called_equal() -> None:
    same = score("stay", 30.0, (0.0, 0.0, 0.0))
    assert "`stay` comes to the same mean." in findings(run_of(BEST, same))


def test_a_single_policy_has_nothing_to_be_compared_with() -> None:
    said = findings(run_of(BEST))
    assert "No other policy was run, so there is nothing to compare it with." in said
    assert not any("runner-up" in sentence for sentence in said)


def test_references_alone_are_no_result() -> None:
    assert findings(run_of(FULL)) == [
        "Only references were run (`full-information`): nobody can run them, so add a policy."
    ]


def test_one_seed_without_intervals_is_a_caution_and_no_nan_is_printed() -> None:
    lonely = {"seeds": 1.0, "mean_s_low": NAN, "mean_s_high": NAN}
    said = findings(
        run_of(
            score("price", 30.0, (0.0, NAN, NAN), **lonely),
            score("nearest", 31.5, (0.05, NAN, NAN), **lonely),
            score("dqn", 33.0, (0.1, NAN, NAN), **lonely),
        )
    )
    assert said[0] == "`price` is fastest: a task takes 30.0 s on average."
    assert "with one seed nobody can say if that is chance" in said[1]
    assert said[-1].startswith(f"{CAUTION}one seed gives no interval")
    assert "nan" not in " ".join(said)


def test_one_seed_over_users_is_a_caution_unless_it_is_a_trace() -> None:
    rows = [score(p, m, a, seeds=1.0, unit="user") for p, m, a in _plain()]
    assert any("over the users of that one world" in text for text in findings(run_of(*rows)))
    on_trace = run_of(*rows, mobility={"kind": "trace"})
    assert not any(text.startswith(CAUTION) for text in findings(on_trace))


def test_a_learned_policy_that_loses_to_nearest_is_reported_as_losing() -> None:
    said = findings(run_of(NEAREST, BEST, score("dqn", 63.0, (1.1, 1.0, 1.2))))
    # seeds 63, 69.3 against 31.5, 34.65: differences 31.5, 34.65 over their base's mean 33.075
    assert any(
        text.startswith("`dqn` loses to `nearest`, one line of common sense: it takes 100 % longer")
        for text in said
    )
    assert not any("`stay` loses" in text for text in findings(run_of(NEAREST, BEST)))


def test_a_policy_level_with_nearest_is_not_called_a_loser() -> None:
    rows = run_of(NEAREST, BEST, score("dqn", 31.6, (0.0533, 0.0, 0.1)))
    # seed 0: 31.6 against 31.5; seed 1: 34.6 against 34.65: the differences change sign
    level = rows.seeds.copy()
    level.loc[(level["policy"] == "dqn") & (level["seed"] == 1), "mean_s"] = 34.6
    said = findings(dataclasses.replace(rows, seeds=level))
    assert any(text.startswith("`dqn` is not ahead of `nearest`") for text in said)


def test_a_reference_that_is_beaten_or_level_is_not_called_better() -> None:
    beaten = score("full-information", 30.3, (0.01, 0.008, 0.012))
    assert any(
        text.startswith("`price` is 1.0 % below `full-information`")
        and text.endswith("its own search is not the best there is.")
        for text in findings(run_of(BEST, beaten))
    )
    level = score("full-information", 29.97, (-0.001, -0.002, 0.001))
    assert any(
        text.endswith("may see: not more than chance.") for text in findings(run_of(BEST, level))
    )


def test_along_a_field_a_reference_may_be_on_both_sides() -> None:
    rows = [score("price", 30.0, (0.0, 0.0, 0.0))] * 2
    rows += [score("full-information", mean_s, (0.0, 0.0, 0.0)) for mean_s in (29.7, 30.3)]
    said = findings(run_of(*rows, points={"servers.clock_hz": [1e9, 2e9, 1e9, 2e9]}))
    # 30 / 29.7 and 30 / 30.3
    assert (
        "The winner is between 1.0 % below and 1.0 % above `full-information`, a reference that "
        "nobody can run." in said
    )


def test_a_wide_interval_asks_for_more_seeds() -> None:
    wide = score("greedy", 30.6, (0.02, 0.0098, 0.0302))
    said = findings(run_of(BEST, wide))
    # half-width 1.02 % of the best's mean, 1.0 % of its own: 8 seeds × (1.0 / 0.5)² = 32
    assert said[-1] == (
        f"{CAUTION}the distance of `greedy` to the best is known to ±1.0 % only, and 0.5 % is the "
        "aim: run more seeds (about 32), in its folder by `isma compare . --seeds 32`."
    )


def test_more_seeds_follow_those_that_were_run_and_own_policies_are_typed() -> None:
    wide = score("mine.rule:Rule", 30.6, (0.02, 0.0098, 0.0302))
    run = run_of(BEST, wide)
    run = dataclasses.replace(run, config={**run.config, "run": {"seeds": [100, 101]}})
    assert "`isma compare . --seeds 100..131 --policies price,mine.rule:Rule`" in findings(run)[-1]


def test_two_seeds_say_next_to_nothing_and_foretell_no_number() -> None:
    best = score("price", 30.0, (0.0, 0.0, 0.0), seeds=2.0)
    said = findings(run_of(best, score("greedy", 30.6, (0.02, 0.0098, 0.0302), seeds=2.0)))
    assert said[-2].startswith(f"{CAUTION}2 seeds say next to nothing about how worlds differ")
    assert said[-1].endswith("is the aim: run more seeds.")


def test_a_wide_interval_far_from_the_best_is_left_alone() -> None:
    assert not any(text.startswith(CAUTION) for text in findings(run_of(BEST, LOCAL)))


def test_overload_and_missed_deadlines_are_named_from_the_largest() -> None:
    bad = score("random", 36.0, (0.2, 0.19, 0.21), overload_ratio=0.4, deadline_miss_ratio=0.02)
    less = score("greedy", 31.0, (0.03, 0.02, 0.04), overload_ratio=0.06)
    said = findings(run_of(BEST, less, bad))
    assert (
        "Servers are asked for more than their whole CPU in 40.0 % (`random`) and 6.0 % (`greedy`) "
        "of server-ticks." in said
    )
    assert "Tasks slower than doing them locally: 2.0 % (`random`)." in said


def test_a_policy_below_the_bound_is_a_defect_and_says_so() -> None:
    broken = score("price", 28.0, (0.0, 0.0, 0.0))
    assert any("which cannot be" in text for text in findings(run_of(broken, NEAREST)))


def test_one_varied_field_says_where_the_winner_changes() -> None:
    rows, at = [], []
    for speed_mps, ahead in ((10.0, "price"), (20.0, "price"), (30.0, "greedy")):
        behind = "greedy" if ahead == "price" else "price"
        rows += [score(ahead, 30.0, (0.0, 0.0, 0.0)), score(behind, 30.6, (0.02, 0.019, 0.021))]
        at += [speed_mps, speed_mps]
    said = findings(run_of(*rows, points={"mobility.speed_mps": at}))
    assert said[0] == (
        "The winner changes along mobility.speed_mps: `price` is fastest from 36 to 72 km/h and "
        "`greedy` at 108 km/h."
    )
    assert said[1] == (
        "The winner's lead over the runner-up is 2.0 %, and more than chance at 3 of 3 points."
    )


def test_values_that_are_no_numbers_are_named_in_their_order() -> None:
    rows = [score("price", 30.0, (0.0, 0.0, 0.0)), score("greedy", 30.0, (0.0, 0.0, 0.0))]
    said = findings(run_of(*rows, points={"visibility": ["user", "full"]}))
    assert said[0] == (
        "The winner changes along visibility: `price` is fastest at user and `greedy` at full."
    )


def test_two_varied_fields_count_the_points_of_each_winner() -> None:
    rows = [score(p, 30.0, (0.0, 0.0, 0.0)) for p in ("price", "price", "mdp", "price")]
    said = findings(
        run_of(
            *rows, points={"servers.clock_hz": [1e9, 1e9, 2e9, 2e9], "users.count": [1, 2, 1, 2]}
        )
    )
    assert said[0] == (
        "The winner changes over servers.clock_hz and users.count: of 4 points `price` at 3 and "
        "`mdp` at 1."
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (30.84, "30.8 s"),
        (307.2, "307 s"),
        (0.0379, "37.9 ms"),
        (2.5e-5, "25.0 µs"),
        (0.0, "0 s"),
        (NAN, "–"),
    ],
)
def test_durations_have_sensible_digits(value: float, text: str) -> None:
    assert formatting.duration(value) == text


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(0.0284, "2.8 %"), (0.0003, "0.03 %"), (8.9, "890 %"), (-0.0069, "−0.7 %"), (1e-7, "0 %")],
)
def test_percentages_have_sensible_digits(ratio: float, text: str) -> None:
    assert formatting.percent(ratio) == text


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("servers.clock_hz", 15.95e9, "15.95 GHz"),
        ("tasks.cycles", [6e9, 9e10], "6 to 90 Gcycles"),
        ("users.local_hz", [150e6, 150e6], "150 MHz"),
        ("tasks.data_bits", [1.6e6, 24e6], "0.2 to 3 MB"),
        ("mobility.speed_mps", 120 / 3.6, "120 km/h"),
        ("mobility.turn_std_rad_per_sqrt_s", 0.1, "0.1"),
        ("radio.noise_w", 1e-13, "1e-13 W"),
        ("observe_position", False, "no"),
        ("time.tick_s", 0.1, "100 ms"),
    ],
)
def test_settings_read_as_a_person_types_them(field: str, value: object, text: str) -> None:
    assert formatting.setting(field, value) == text


def _plain() -> list[tuple[str, float, tuple[float, float, float]]]:
    return [("price", 30.0, (0.0, 0.0, 0.0)), ("nearest", 31.5, (0.05, 0.048, 0.052))]


def test_a_field_that_changes_nothing_is_noticed() -> None:
    rows = [BEST, NEAREST, dataclasses.replace(BEST, decision_ms_p50=3.0), NEAREST]
    field = "migration.downtime_per_hop_s"
    said = findings(run_of(*rows, points={field: [0.5, 0.5, 5.0, 5.0]}))
    assert said[0].startswith(
        f"{field} changes nothing here: all points are equal to the last digit"
    )
    assert not any("at all 2 points" in text for text in said)
    assert said[1].startswith("`price` is fastest: a task takes 30.0 s")


def test_one_of_two_fields_that_changes_nothing_is_noticed() -> None:
    slower = score("price", 31.0, (0.0, 0.0, 0.0))
    points = {"latency.per_hop_s": [0.1, 0.2] * 2, "energy.kappa_j_per_hz2": [1.0, 1.0, 2.0, 2.0]}
    said = findings(run_of(BEST, slower, BEST, slower, points=points))
    assert said[0].startswith("energy.kappa_j_per_hz2 changes nothing here")
    assert "`price` is fastest at all 4 points" in said[1]


def test_a_field_that_changes_a_last_digit_is_not_called_idle() -> None:
    other = dataclasses.replace(BEST, p99_s=1e-9)
    said = findings(run_of(BEST, other, points={"latency.per_hop_s": [0.1, 0.2]}))
    assert not any("changes nothing" in text for text in said)

"""What is kept of a run: everything of a short one, and no more than so much of a long one."""

import jax
import numpy as np

from isma.evaluation import cell, course_sample
from isma.evaluation.course_sample import (
    MOST_SHOWN,
    Course,
    CourseSample,
    SampledMoment,
    shown_users,
)
from isma.policies import registry
from isma.simulator.params import build
from isma.simulator.rollout import run_chunk
from isma.simulator.state import reset
from isma.world import files


def moment(number: int) -> SampledMoment:
    return SampledMoment(float(number), np.zeros((1, 2)), np.zeros((0, 8)))


def test_few_moments_are_all_kept() -> None:
    kept = CourseSample()
    for number in range(100):
        kept.add(moment(number))
    assert [m.time_s for m in kept.all()] == list(range(100))


def test_of_many_an_even_part_is_kept_and_the_last() -> None:
    kept = CourseSample()
    for number in range(10_001):
        kept.add(moment(number))
    times = np.array([m.time_s for m in kept.all()])
    assert 100 <= len(times) <= 257
    assert times[-1] == 10_000
    assert len(set(np.diff(times)[:-1])) == 1


def test_a_course_keeps_its_sums(monkeypatch) -> None:
    monkeypatch.setattr(course_sample, "_MOST_INTERVALS", 8)
    course = Course(columns=2)
    for number in range(53):
        course.add(float(number), np.array([number, 1.0]))
    end_s, sums = course.intervals()
    assert len(end_s) < 8
    assert end_s[-1] == 52
    assert sums.sum(axis=0).tolist() == [sum(range(53)), 53]
    assert np.all(np.diff(end_s) > 0)


def test_of_many_users_the_same_are_shown() -> None:
    assert shown_users(40).tolist() == list(range(40))
    shown = shown_users(100_000)
    assert len(set(shown.tolist())) == MOST_SHOWN
    np.testing.assert_array_equal(shown, shown_users(100_000))
    assert 40_000 < shown.mean() < 60_000


def test_in_a_small_world_it_is_the_plain_tally() -> None:
    """Everything kept, added up at the end, as for a run that fits into memory."""
    scenario = files.load("paper", {"duration_s": 60, "warmup_s": 20})
    params, policy = build(scenario), registry.get("nearest")
    found = cell.run(scenario, params, policy, 0, lambda ticks: None)
    key, memory_key = jax.random.split(jax.random.key(0))
    state, memory = jax.jit(reset)(params, key), policy.init(scenario, 40, 6, memory_key)
    mean_s, position_m, load, tasks = [], [], [], 0
    for first in range(0, 600, 100):
        state, memory, outcome = run_chunk(params, policy, state, memory, key, 100)
        time_s = np.asarray(outcome.completion_time_s, float)
        mean_s.append(time_s[~np.isnan(time_s)].mean())
        position_m.append(np.asarray(state.motion.position_m))
        if first >= 200:
            load.append(np.asarray(state.placement.load, float))
            tasks += int((~np.isnan(time_s[-1])).sum())
    np.testing.assert_array_equal(found.chunk_mean_s, mean_s)
    np.testing.assert_array_equal(found.position_m, position_m)
    np.testing.assert_array_equal(found.moment_s, found.chunk_end_s)
    np.testing.assert_array_equal(found.server_requested, np.mean(load, 0))
    assert len(found.task_sample) == tasks

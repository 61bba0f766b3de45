"""DRACM's test run again: parameters read as data, draws in its order, optima by enumeration."""

import itertools
from pathlib import Path

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array
from typer.testing import CliRunner

from benchmarks.commands import app
from benchmarks.published import dracm, dracm_code, dracm_instance, dracm_policy, dracm_rules
from benchmarks.published.dracm_rules import Image
from isma.contract import Observation
from isma.errors import DataError, RunError
from isma.planning.allocation import offers, split
from isma.planning.migration import delay_s2
from isma.planning.moves import marginal_costs_s
from isma.planning.segment_sums import Pools
from isma.policies.pricing.candidates import estimated_price_s

SCRIPT = """
raise SystemExit("a script that is read must not run")
import missing_library
rates = [2, 1, 3, 1]
def main():
    env = EnvironmentParameters(
        trace_start_index=1, num_traces=2, server_frequency=128.0, num_base_station=4,
        optical_fiber_trans_rate=500.0, backhaul_coefficient=0.02, migration_coefficient_low=1.0,
        migration_coefficient_high=3.0, server_poisson_rate=rates, client_poisson_rate=2,
        server_task_data_lower_bound=(0.05 * 1000.0 * 1000.0 * 8), server_task_data_higher_bound=4e7,
        client_task_data_lower_bound=(0.05 * 1000.0 * 1000.0 * 8), client_task_data_higher_bound=4e7,
        migration_size_low=0.5, migration_size_high=100.0, ratio_lower_bound=200.0,
        ratio_higher_bound=10000.0, map_width=2000.0, map_height=2000.0, num_horizon_servers=2,
        num_vertical_servers=2, traces_file_path='./environment/san_traces_coordinate.txt',
        transmission_rates=[60.0, 48.0, 36.0, 24.0, 12.0], trace_length=4, trace_interval=2,
        is_full_observation=False, is_full_action=True)
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A checkout in its form: three users, of whom the last two are the test's."""
    (tmp_path / "environment").mkdir()
    (tmp_path / dracm_instance.SCRIPT).write_text(SCRIPT)
    lines = [
        f"{user} {100 + 240 * user + 200 * fix} {300 + 500 * user + 60 * fix}"
        for fix in range(8)
        for user in range(3)
    ]
    (tmp_path / dracm_instance.TRACES).write_text("\n".join(["[0]", *lines]))
    return tmp_path


def test_parameters_are_read_and_the_script_is_not_run(source: Path) -> None:
    test = dracm_instance.parameters_of(source)
    assert test.server_tasks == (2, 1, 3, 1)
    assert test.data_bits == (4e5, 4e7)
    assert (test.num_traces, test.slots, test.columns, test.rows) == (2, 4, 2, 2)


def test_what_is_not_the_test_is_told_in_one_line(source: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must be a checkout of linkpark"):
        dracm_instance.parameters_of(tmp_path / "elsewhere")
    script = source / dracm_instance.SCRIPT
    script.write_text(SCRIPT.replace("trace_length=4", "trace_length=input()"))
    with pytest.raises(DataError, match="'trace_length' is missing or none"):
        dracm_instance.parameters_of(source)
    script.write_text(SCRIPT.replace("trace_length=4", "trace_length=400"))
    with pytest.raises(DataError, match="2 traces of 400 slots"):
        dracm_instance.positions_of(source, dracm_instance.parameters_of(source))
    script.write_text(SCRIPT.replace("num_traces=2", "num_traces=0"))
    with pytest.raises(DataError, match="at least one of each"):
        dracm_instance.parameters_of(source)
    script.write_text("nothing(")
    with pytest.raises(DataError, match="must be Python"):
        dracm_instance.parameters_of(source)


def test_draws_are_those_of_a_loop_over_single_numbers(source: Path) -> None:
    """Work of tasks one by one, in the order traces, then servers, then image and hops."""
    test = dracm_instance.parameters_of(source)
    one = dracm_instance.instance_of(source, test, seed=3)
    single = np.random.RandomState(3)

    def work(number: int) -> float:
        return sum(single.uniform(4e5, 4e7) * single.uniform(200.0, 10000.0) for _ in range(number))

    for slot, trace in itertools.product(range(4), range(2)):
        own = work(max(1, single.poisson(2))) / 1024**3
        load = [work(single.poisson(mean)) / 1024**3 for mean in (2, 1, 3, 1)]
        assert one.work[trace, slot] == pytest.approx(own)
        np.testing.assert_allclose(one.load[trace, slot], load)
        assert one.image_s[trace, slot] == pytest.approx(single.uniform(0.5, 100.0) * 8 / 500)
        assert one.hop_move_s[trace, slot] == pytest.approx(single.uniform(1.0, 3.0))
    # They begin at (340, 800) and (580, 1300), in cells of 1 km.
    assert one.station[:, 0].tolist() == [0, 2]


@pytest.mark.parametrize("image", Image)
def test_optima_by_enumeration(source: Path, image: Image) -> None:
    one = dracm_instance.instance_of(source, dracm_instance.parameters_of(source), seed=0)
    every = [np.tile(place, (2, 1)) for place in itertools.product(range(4), repeat=4)]
    least = np.min([dracm_rules.cost_s(one, place, image) for place in every], axis=0)
    np.testing.assert_allclose(dracm_rules.optimum_s(one, image), least)
    assert (dracm_rules.cost_s(one, dracm_rules.myopic(one, image), image) >= least - 1e-9).all()
    paid = np.min([dracm_rules.cost_s(one, place, Image.ALWAYS, lag=2) for place in every], axis=0)
    np.testing.assert_allclose(dracm_rules.paid_optimum_s(one), paid)


def test_a_placement_costs_what_the_rule_says(source: Path) -> None:
    one = dracm_instance.instance_of(source, dracm_instance.parameters_of(source), seed=0)
    stays, goes = dracm_rules.never(one), dracm_rules.never(one).copy()
    goes[0, 2:] = 3  # Two hops from cell 0, in slot 2, and it stays there.
    by_rule = [dracm_rules.cost_s(one, stays, image)[0] for image in Image]
    assert by_rule[0] - by_rule[1] == pytest.approx(one.image_s[0].sum())
    there = one.delay_s[0, 2:, 3].sum() - one.delay_s[0, 2:, 0].sum()
    moving = 2 * one.hop_move_s[0, 2] + one.image_s[0, 2]
    costs = dracm_rules.cost_s(one, goes, Image.MOVING)[0] - by_rule[1]
    assert costs == pytest.approx(there + moving)


def test_expectation_of_the_last_slot(source: Path) -> None:
    """Nothing follows the last slot; before it, a service at any server can at worst stay."""
    test = dracm_instance.parameters_of(source)
    one = dracm_instance.instance_of(source, test, seed=0)
    later = dracm_rules.expected_later_s(one, test, Image.MOVING, seed=1)
    assert later.shape == (4, 2, 4)
    assert (later[3] == 0).all()
    assert (np.diff(later.mean(axis=(1, 2))) < 0).all()


def test_policies_see_the_costs_of_the_test() -> None:
    """Delay at every server and cost of a move to it, by the parts of our planning that use them."""
    hops = jnp.asarray([[0.0, 1.0, 2.0], [1.0, 0.0, 1.0], [2.0, 1.0, 0.0]])
    load_s, work_s, slot_s = jnp.asarray([4.0, 9.0, 1.0]), jnp.asarray(1.5), jnp.asarray(60.0)
    slot = dracm_policy.Slots(
        jnp.asarray(0, jnp.int32),
        jnp.asarray(0, jnp.int32),
        load_s,
        jnp.asarray(2.5),
        jnp.asarray(0.8),
    )
    host = jnp.asarray(1, jnp.int32)
    seen = dracm_policy.seen(slot, host, hops, 0.02, jnp.asarray(2.0), slot_s, work_s)
    moves_s2, delay_s = _planned_with(seen)
    # 2.5 s a hop and 0.8 s for the image, in one slot of 60 s.
    np.testing.assert_allclose(moves_s2[0], [198.0, 0.0, 198.0], rtol=1e-5)
    np.testing.assert_allclose(delay_s[0], work_s + load_s + 0.02 * hops[0], rtol=2e-3)


@eqx.filter_jit
def _planned_with(seen: Observation) -> tuple[Array, Array]:
    """Cost of moves, and delay everywhere, of each user."""
    offer, home = offers(seen), Pools(seen.pool(seen.host), seen.num_pools)
    here = split(offer.at(seen.host), home)
    root_price = jnp.sqrt(estimated_price_s(seen, home, here, offer))[seen.host]
    return delay_s2(seen), marginal_costs_s(offer.of(), seen.host, root_price)


def test_policies_play_each_trace(source: Path) -> None:
    test = dracm_instance.parameters_of(source)
    one = dracm_instance.instance_of(source, test, seed=0)
    follows = dracm_policy.placement(one, test, "nearest", Image.MOVING)
    np.testing.assert_array_equal(follows, one.station)


FAKE = {
    "environment/batch_migration_env.py": """
from collections import namedtuple
import gym, numba, numpy as np
EnvironmentParameters = lambda **given: given
class BatchMigrationEnv(gym.Env):
    def __init__(self, given): self.user = 0
    def reset(self): pass
    def current_system_state(self): return np.full((2, 5 + 4 + 2), 1.0)
    def step(self, action): return None, np.array([-1.0, -2.0]), None, None
""",
    "policies/optimal_solution.py": "optimal_solution = lambda env, one: (None, None, 5.0)",
    "policies/no_migration_solution.py": "no_migration_solution = lambda env, many: 6.0",
    "policies/always_migration_solution.py": "always_migration_solution = lambda env, many: 7.0",
}


def test_published_code_runs_in_its_own_process(source: Path) -> None:
    (source / "policies").mkdir()
    for name, text in FAKE.items():
        (source / name).write_text(text)
    found = dracm_code.run(source, seed=0, traces=2)
    assert found.optimum_s.tolist() == [5, 5]
    assert found.paid_always_s.tolist() == [4, 8]
    assert found.load.shape == (2, 4, 4)
    (source / "policies/optimal_solution.py").write_text("import no_such_library")
    with pytest.raises(RunError, match="No module named 'no_such_library'"):
        dracm_code.run(source, seed=0, traces=2)


def test_command(source: Path) -> None:
    told = CliRunner().invoke(
        app, ["published", "dracm", "--source", str(source), "--policies", "nearest"]
    )
    assert told.exit_code == 0, told.output
    assert "image charged in every slot" in told.output
    assert "image charged only when moving" in told.output
    rows = dracm.measure(source, seed=0, policies=["nearest"], theirs=0).rows
    of = {(row.image, row.policy): row for row in rows}
    for image in Image:
        assert of[image.value, "nearest"].mean_s == of[image.value, "always"].mean_s
        assert of[image.value, "optimum"].mean_s <= of[image.value, "expected future"].mean_s

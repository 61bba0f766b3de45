"""Lanes of the suite: what is left to `make test` and to `make test-slow`, and what is begun first."""

from pathlib import PurePath

import pytest

THOROUGH = (
    "agent/test_page.py",
    "faults/test_faults.py",
    "simulator/test_conservation.py",
    "policies/test_isma2.py",
    "policies/test_rules.py",
    "planning/test_shortlist.py",
    "simulator/test_reference.py",
    "golden/test_decisions.py",
    "environments/test_what_is_refused.py",
    "environments/test_server_env.py",
    "environments/test_vector_env.py",
    "environments/test_network_env.py",
    "environments/test_environments_page.py",
    "test_cli.py",
    "test_examples.py",
    "test_interrupts.py",
    "test_planning_page.py",
    "simulator/test_precision.py",
    "simulator/test_metropolis.py",
    "simulator/test_properties.py",
    "simulator/test_failures.py",
    "simulator/test_presence.py",
    "bounds/test_whole_run.py",
    "bounds/test_paths.py",
    "bounds/test_decision.py",
    "policies/test_marginal_cost.py",
    "policies/test_latent_planner.py",
    "policies/test_your_policy.py",
    "policies/test_fewer_servers.py",
    "training/test_ppo.py",
    "training/test_learners.py",
    "training/test_user_experience.py",
    "training/test_server_experience.py",
    "training/test_replay.py",
    "training/test_forecast_learner.py",
    "training/test_killed.py",
    "evaluation/test_explain.py",
    "evaluation/test_conformance.py",
    "evaluation/test_foresight_levels.py",
    "evaluation/test_beyond.py",
    "reproduction/test_budgets.py",
    "reproduction/test_reproduce.py",
    "benchmarks/test_peers.py",
    "leaderboard/test_leaderboard.py",
    "benchmarks/test_rule_timings.py",
    "benchmarks/test_operations.py",
    "benchmarks/test_published_dracm.py",
    "benchmarks/test_published_mango.py",
    "planning/test_assignment.py",
    "planning/test_migration_path.py",
    "model/test_forecast_model.py",
    "world/test_presets.py",
    "world/test_nearby.py",
    "agent/test_kills.py",
    "watch/test_replay_page.py",
    "watch/test_replay_controls.py",
    "evaluation/test_replay_recorder.py",
)
"""Files that compile programs of their own or start processes: those that take longest come first."""

SLOWEST = (
    "agents/test_flat_agent.py::test_it_decides_as_in_the_environment",
    "agents/test_flat_agent.py::test_one_server_alone_among_others",
    "benchmarks/test_operations.py",
    "benchmarks/test_peers.py",
    "benchmarks/test_rule_timings.py",
    "bounds/test_paths.py::test_never_above_the_best_path_and_close_below_it[20]",
    "bounds/test_whole_run.py::test_any_prices_prove_a_bound",
    "environments/test_environments_page.py",
    "environments/test_network_worlds.py::test_every_world_is_that_of_the_environment_for_one",
    "environments/test_vector_env.py::test_each_world_goes_as_it_would_alone[AutoresetMode.NEXT_STEP-False-local]",
    "evaluation/test_beyond.py",
    "evaluation/test_compare.py::test_a_full_disk_is_told_in_one_line[replace]",
    "evaluation/test_figures.py::test_no_text_is_clipped_or_covers_another[city]",
    "evaluation/test_figures.py::test_no_text_is_clipped_or_covers_another[paper]",
    "evaluation/test_sizing.py::test_the_report_answers_first",
    "faults/test_faults.py::test_more_of_a_kind_are_drawn_after_fewer",
    "golden/test_decisions.py::test_no_service_decides_otherwise[campus-price]",
    "golden/test_decisions.py::test_no_service_decides_otherwise[highway-foresight]",
    "model/test_forecast_model.py::test_users_are_alike",
    "planning/test_assignment.py::test_a_swap_is_found_where_no_move_helps[True]",
    "planning/test_assignment.py::test_the_best_assignment_is_found_mostly[None]",
    "planning/test_assignment.py::test_what_saves_less_than_the_margin_is_left",
    "planning/test_migration_path.py::test_as_all_sequences_of_places[plain]",
    "policies/test_fewer_servers.py",
    "policies/test_isma2.py::test_where_moves_are_free_there_is_nothing_to_foresee",
    "policies/test_marginal_cost.py::test_as_things_are_it_costs_what_moves_are_weighed_by",
    "policies/test_marginal_cost.py::test_it_is_sooner_by_no_more_than_a_task_takes_alone",
    "policies/test_rules.py::test_full_information_spreads_users",
    "policies/test_rules.py::test_price_publishes_nothing_where_users_decide_alone",
    "policies/test_your_policy.py::test_a_batch_of_worlds_equals_one_after_another",
    "policies/test_your_policy.py::test_the_pages_examples_keep_to_the_contract_and_run[calmest:Calmest]",
    "simulator/test_batch.py::test_a_batch_is_its_worlds[1]",
    "simulator/test_conservation.py::test_a_task_is_finished_or_counted_as_unfinished[precopy]",
    "simulator/test_conservation.py::test_every_task_has_one_end[precopy]",
    "simulator/test_metropolis.py::test_a_small_one_runs",
    "simulator/test_metropolis.py::test_memory_is_linear_in_users[greedy]",
    "simulator/test_metropolis.py::test_memory_is_linear_in_users[nearest]",
    "simulator/test_precision.py",
    "simulator/test_reference.py::test_scripted_worlds_agree[all_cold_road]",
    "simulator/test_reference.py::test_scripted_worlds_agree[late_and_lossy]",
    "simulator/test_reference.py::test_scripted_worlds_agree[one_for_all]",
    "test_examples.py::test_a_city_is_imported_and_compared",
    "test_examples.py::test_a_notebooks_cells_compare_their_own_policy",
    "test_examples.py::test_servers_that_learn_by_themselves_are_compared",
    "training/test_learners.py::test_one_that_is_stopped_ends_with_the_same_bytes[drac]",
    "training/test_ppo.py::test_it_learns_what_pays_and_what_that_is_worth",
    "training/test_ppo.py::test_sequences_are_judged_with_the_memory_of_then",
    "training/test_server_experience.py::test_random_experience_covers_good_and_bad",
    "training/test_team.py::test_a_team_is_rewarded_by_everybodys_delay",
    "training/test_user_experience.py::test_worlds_become_rows_and_points_are_taken_in_turn",
    "world/test_nearby.py::test_walking_ends_at_the_nearest",
)
"""Tests, cases and files for `make test-slow`: those that take longest and have a quicker one beside them."""

_RANK = {PurePath(path): rank for rank, path in enumerate(THOROUGH)}


def into_lanes(items: list[pytest.Item], tests: PurePath) -> None:
    """Mark tests by their lane, and put long files first, so that no worker ends with one."""
    ranks = {item: _RANK.get(PurePath(item.path).relative_to(tests)) for item in items}
    for item, rank in ranks.items():
        if rank is not None:
            item.add_marker(pytest.mark.thorough)
    for item in items:
        name = f"{PurePath(item.path).relative_to(tests)}::{item.name}"
        if name in SLOWEST or name.partition("::")[0] in SLOWEST:
            item.add_marker(pytest.mark.slow)
    last = len(_RANK)
    items.sort(key=lambda item: last if (rank := ranks[item]) is None else rank)

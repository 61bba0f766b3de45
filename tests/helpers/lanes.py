"""Lanes of the suite: what `make test-fast` leaves to `make test`, and what is begun first."""

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
    "benchmarks/test_rule_timings.py",
    "benchmarks/test_operations.py",
    "planning/test_assignment.py",
    "planning/test_migration_path.py",
    "model/test_forecast_model.py",
    "world/test_presets.py",
    "world/test_nearby.py",
    "agent/test_kills.py",
    "watch/test_replay_page.py",
    "evaluation/test_replay_recorder.py",
)
"""Files that compile programs of their own or start processes: those that take longest come first."""

_RANK = {PurePath(path): rank for rank, path in enumerate(THOROUGH)}


def into_lanes(items: list[pytest.Item], tests: PurePath) -> None:
    """Mark the tests of these files, and put them first, so that no worker ends with a long one."""
    ranks = {item: _RANK.get(PurePath(item.path).relative_to(tests)) for item in items}
    for item, rank in ranks.items():
        if rank is not None:
            item.add_marker(pytest.mark.thorough)
    last = len(_RANK)
    items.sort(key=lambda item: last if (rank := ranks[item]) is None else rank)

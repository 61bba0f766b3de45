"""How the world moves: state, step, observation, rollout."""

"""Parts of decisions: pools, CPU allocation, moves, assignments."""

"""Explanation of one decision: the run is simulated again up to it."""

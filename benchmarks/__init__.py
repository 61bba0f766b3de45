"""Speed in comparison with peers: in a copy of the repository `python -m benchmarks`."""

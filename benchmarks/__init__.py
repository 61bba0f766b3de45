"""Speed, with a peer beside it: in a copy of the repository `python -m benchmarks`."""

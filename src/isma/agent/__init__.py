"""The edge agent: one process beside each edge server, which owns, moves and serves users' services."""

"""The edge agent: one process at each edge server, which owns, migrates and serves users' services."""

"""Learned policies: networks and models, the search that uses them, and the checkpoints that are shipped."""

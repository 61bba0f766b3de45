"""Comparison of policies: all cells, seeds until intervals are narrow, and the tables that are written."""

"""Leaderboard: policies of anybody in the same worlds, a table for each, and rows that are run again."""

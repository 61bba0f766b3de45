"""Replay of a run: a page that plays it, served or as one file, and pictures of that page."""

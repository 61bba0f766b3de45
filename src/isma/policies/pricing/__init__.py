"""Prices: one search over candidate servers, and three valuations of the time after a move."""

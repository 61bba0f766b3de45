"""Prices: one search over candidate servers, and three valuations of what follows a move."""

"""Comparisons in simulated worlds: cells, and rooms for bounds, explanations, tables and the report."""

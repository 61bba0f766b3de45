"""Comparisons: cells, tables, figures, findings, the report."""

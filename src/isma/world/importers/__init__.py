"""Scenarios from data that people bring: traces, sites, topologies."""

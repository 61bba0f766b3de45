"""Reproduction of the paper's figures and claims: a verdict on each, with strong rules for comparison."""

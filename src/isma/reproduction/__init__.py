"""The paper's figures and claims, run again: a verdict on each, and strong rules beside them."""

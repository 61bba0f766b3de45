"""Kills, flipped bits, mutated inputs, Ctrl-C and two at once: what is promised, tried."""

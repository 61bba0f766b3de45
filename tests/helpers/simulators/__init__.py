"""Two simulators of one world, side by side: ours, and the reference in plain Python."""

"""Rules: what to do is written down, and nothing is learned but how often users change stations."""

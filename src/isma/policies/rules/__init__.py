"""Rules: hand-written policies; none learns more than how often users change stations."""

"""Bounds of worlds: how good any decision could be, any run, and any run that knows so much of the future."""

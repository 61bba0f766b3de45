"""Lower bounds: how good anyone could be."""

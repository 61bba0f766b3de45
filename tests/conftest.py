"""Makes this folder importable: the reference simulator is a helper of several tests."""

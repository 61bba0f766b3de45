"""Conformance of anybody's policy to the contract: `isma check-policy`."""

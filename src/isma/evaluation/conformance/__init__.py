"""Conformance of a policy to the contract: `isma check-policy`."""

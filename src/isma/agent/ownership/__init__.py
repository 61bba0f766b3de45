"""Ownership of contexts: states and rules without any input or output, and the fence at the service."""

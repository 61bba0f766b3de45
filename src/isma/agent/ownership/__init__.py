"""Who serves a context: states and rules without any input or output, and the fence at the service."""

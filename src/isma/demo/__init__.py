"""Three agents, twelve users and a stateful service for each, on one machine (`make demo-edge`)."""

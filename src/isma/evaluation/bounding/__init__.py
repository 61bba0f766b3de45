"""Lower bounds of delay: of a decision, of a run, and of policies with limited foresight."""

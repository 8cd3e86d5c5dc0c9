"""Real machines: what drives the pure functions from the host."""

"""Choosing the numbers: spaces of configurations, and searches that train many of them at once."""

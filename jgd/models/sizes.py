"""Check of layer sizes, shared by the models."""

import numbers


def check_sizes(name: str, sizes) -> None:
    """ValueError unless every size is a whole number >= 1."""
    for size in sizes:
        if not isinstance(size, numbers.Integral) or isinstance(size, bool) or size < 1:
            raise ValueError(
                f"{name}: size {size!r} in {tuple(sizes)} is no whole number >= 1. Sizes shape the "
                "params, so they are Python ints, not arrays."
            )

"""Checks of sizes, shared by the models."""

from jgd.tree import is_whole


def check_sizes(name: str, sizes) -> None:
    """ValueError unless every size is a whole number >= 1."""
    for size in sizes:
        if not is_whole(size) or size < 1:
            raise ValueError(
                f"{name}: size {size!r} in {tuple(sizes)} is no whole number >= 1. Sizes shape the "
                "params, so they are Python ints, not arrays."
            )


def check_inputs(name: str, inputs, weights) -> None:
    """ValueError unless `inputs` are those of one example for a layer of these weights."""
    wanted = weights.shape[:1]
    if inputs.shape != wanted:
        raise ValueError(
            f"inputs have shape {inputs.shape}, but one example of this model wants {wanted}. For a "
            f"batch map over it: jax.vmap({name}.predict, in_axes=(None, 0))(params, x)."
        )

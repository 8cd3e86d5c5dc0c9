"""Figures of a sweep: over its axes, of its best, and of how it was halved."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jgd
from jgd.cli.drawing import Drawing, drawn
from jgd.cli.lanes import Lanes

HELD_OUT = "held-out loss"


def drawings(
    lanes: Lanes, found: Any, names: list[str], ranked: list[int], is_grid: bool, folder: Path
) -> list:
    """Draw what shows a sweep; the figures as summary.json names them."""
    from jgd import plots

    judged = as_judged(lanes, found)
    is_held = lanes.problem.held is not None or isinstance(found, jgd.CrossValidation)
    loss = HELD_OUT if is_held else "final loss"
    wanted: list[tuple] = []
    if len(names) == 1:
        draw = _along(judged, names[0])
        wanted.append(("along", f"The {loss} along {_plain(names[0])}", draw, None))
    elif len(names) == 2:
        draw = functools.partial(plots.heat_map, judged, names[0], names[1])
        title = f"The {loss} over {_plain(names[0])} and {_plain(names[1])}"
        wanted.append(("over", title, draw, (7.0, 4.6)))
    else:
        draw = functools.partial(plots.parallel_coordinates, judged)
        wanted.append(("all_axes", f"The {loss} over all that varied", draw, (8.0, 4.4)))
        for name in names if is_grid else ():  # of random draws all else is in the way
            wanted.append(
                (f"along_{name}", f"The {loss} along {_plain(name)}", _along(judged, name), None)
            )
    shown = [
        Drawing(name, title, f"{title}, of all configurations.", _named(draw, loss), size)
        for name, title, draw, size in wanted
    ]
    if isinstance(found, jgd.Halving):
        halved = found
        if is_held:
            halved = dataclasses.replace(found, fits=_by_held_out(found.fits))
        title = "Which configurations went on"
        draw = _named(functools.partial(plots.halving_brackets, halved), loss)
        shown.append(Drawing("halving", title, f"{title}: {loss} by epoch.", draw))
    if ranked and not isinstance(found, jgd.CrossValidation):
        fit = (found.sweep if isinstance(found, jgd.Halving) else found).fit(ranked[0])
        shown.append(_of_best(fit))
    return drawn(folder, shown)


def _along(judged: jgd.Sweep, name: str) -> Any:
    from jgd import plots

    return lambda ax: plots.final_loss(judged, name, ax)


def as_judged(lanes: Lanes, found: Any) -> jgd.Sweep:
    """The fits with what they are judged by in the place of the loss, for figures draw the loss."""
    if isinstance(found, jgd.CrossValidation):
        groups = tuple(
            group._replace(fits=_of_folds(group.fits, found.mean[group.places]))
            for group in found.groups
        )
        return jgd.Sweep(found.configs, groups)
    sweep = found.sweep if isinstance(found, jgd.Halving) else found
    if lanes.problem.held is None:
        return sweep
    groups = tuple(group._replace(fits=_by_held_out(group.fits)) for group in sweep.groups)
    return jgd.Sweep(sweep.configs, groups)


def _by_held_out(fits: jgd.Fit) -> jgd.Fit:
    assert fits.history.evaluation is not None
    return fits._replace(history=fits.history._replace(loss=fits.history.evaluation["held_out_loss"]))


def _of_folds(fits: jgd.Fit, mean: np.ndarray) -> jgd.Fit:
    """One fit for each configuration, of one epoch, with the mean loss of its folds."""
    first = jax.tree.map(lambda x: x[:, 0], fits)
    lost = ~np.isfinite(mean)
    status = jnp.where(lost, jgd.Status.DIVERGED, jgd.Status.EPOCHS_DONE)
    losses = jnp.where(lost, jnp.nan, jnp.asarray(-mean))[:, None]
    return first._replace(
        status=status,
        epochs=jnp.ones_like(first.epochs),
        history=first.history._replace(loss=losses),
    )


def _of_best(fit: jgd.Fit) -> Drawing:
    from jgd import plots
    from jgd.cli.running import losses

    course = losses(fit)
    alt = f"The loss of {' and '.join(course)} rows by epoch, of the best configuration."
    return Drawing("best", "Loss by epoch of the best", alt, lambda ax: plots.loss_history(course, ax))


def _named(draw: Any, loss: str) -> Any:
    """Figures call it the final loss; here it is that of rows held out."""

    def named(ax: Any) -> None:
        from matplotlib.text import Text

        draw(ax)
        for text in ax.figure.findobj(Text):
            said = text.get_text()
            for old in ("final loss", "Final loss"):
                new = loss if old[0].islower() else loss.capitalize()
                said = said.replace(old, new)
            if said != text.get_text():
                text.set_text(said)
        labels = [text.get_text() for text in ax.get_xticklabels()]
        if "final loss" in labels:
            ax.set_xticks(ax.get_xticks(), [loss if text == "final loss" else text for text in labels])

    return named


def _plain(name: str) -> str:
    return name.replace("_", " ")

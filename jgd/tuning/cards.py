"""What a notebook shows of sweeps, other searches, diagnoses and range tests."""

import math
from typing import Any

import numpy as np

from jgd.descent.card import UNKNOWN, fit_card, in_words, last_of, parts_of
from jgd.descent.status import Status
from jgd.shown import Card, clipped, numbers, shape_of, short
from jgd.tuning.space import StaticAxis
from jgd.wording import count, listed

BEST = 5  # rows of a table
MOST_AXES = 6  # columns of one
NOTES = 5


def sweep_card(found: Any) -> Card:
    """The card of a `Sweep`: the axes, how the fits ended, and those of the lowest last loss."""
    configs, num = found.configs, len(found.configs)
    status, losses = np.full(num, -1), np.full(num, np.nan)
    for group in found.groups:
        came, epochs = numbers(group.fits.status), numbers(group.fits.epochs)
        if came is None or epochs is None:
            return Card("Sweep", f"{count(num, 'configuration')}; {UNKNOWN}", _axes(configs))
        status[group.places] = came
        history = numbers(group.fits.history.loss)
        if history is not None:
            losses[group.places] = last_of(history, epochs)
    ranks = np.where(status == Status.DIVERGED, np.nan, -losses)
    best = [
        (*_config(configs, place), short(losses[place]), _name(status[place]))
        for place in _highest(ranks)
    ]
    return Card(
        "Sweep",
        count(num, "configuration"),
        (*_axes(configs), ("ended", in_words(parts_of(status)))),
        (*_columns(configs), "last loss", "status"),
        tuple(best),
        parts=parts_of(status),
        foot=_foot("sweep", "says what to do about it"),
    )


def best_card(found: Any) -> Card:
    """The card of a `Best`: its config, and what is shown of its fit."""
    fit = fit_card(found.fit)
    config = (("config", clipped(_pairs(found.config), 160)), ("fit", fit.head))
    head = f"number {found.place}, score {short(found.score)}"
    return fit._replace(title="Best", head=head, facts=(*config, *fit.facts))


def halving_card(found: Any) -> Card:
    """The card of a `Halving`: how many reached each rung, and the best of the last one."""
    configs, parts = found.configs, _parts(found.fits)
    reached = ", ".join(
        f"{int(np.sum(found.rungs >= rung))} reached {count(epochs, 'epoch')}"
        for rung, epochs in enumerate(found.epochs)
    )
    at_end = found.scores[np.arange(len(configs)), found.rungs]
    order = np.lexsort((-at_end, -found.rungs))
    best = [
        (*_config(configs, place), str(found.epochs[found.rungs[place]]), short(at_end[place]))
        for place in order[:BEST]
    ]
    return Card(
        "Halving",
        count(len(configs), "configuration"),
        (*_axes(configs), ("rungs", reached), ("ended", in_words(parts))),
        (*_columns(configs), "epochs", "score"),
        tuple(best),
        parts=parts,
        foot=_foot("halving", "says what to do about it"),
    )


def hyperband_card(found: Any) -> Card:
    """The card of a `Hyperband`: what each bracket began with, and its best score."""
    rows = []
    for number, bracket in enumerate(found.brackets):
        at_end = np.where(bracket.rungs == len(bracket.epochs) - 1, bracket.scores[:, -1], np.nan)
        best = _highest(at_end)[:1]
        config = [clipped(_pairs(_texts(bracket.configs, place)), 60) for place in best] or ["none"]
        score = [short(at_end[place]) for place in best] or ["none"]
        rungs = listed(bracket.epochs)
        rows.append((str(number), str(len(bracket.configs)), rungs, *score, *config))
    num = sum(len(bracket.configs) for bracket in found.brackets)
    return Card(
        "Hyperband",
        f"{count(len(found.brackets), 'bracket')}, {count(num, 'configuration')}",
        columns=("bracket", "configurations", "rungs", "best score", "of"),
        rows=tuple(rows),
        foot=_foot("hyperband", "says what became of each"),
    )


def cross_validation_card(found: Any) -> Card:
    """The card of a `CrossValidation`: the configurations of the highest mean score, with its error."""
    configs, (num, folds) = found.configs, found.scores.shape
    fits = [numbers(group.fits.status) for group in found.groups]
    known = [np.ravel(status) for status in fits if status is not None]
    parts = parts_of(np.concatenate(known)) if known else ()
    mean, error = found.mean, found.standard_error
    best = [
        (*_config(configs, place), short(mean[place]), short(error[place])) for place in _highest(mean)
    ]
    return Card(
        "CrossValidation",
        f"{count(num, 'configuration')} in {count(folds, 'fold')}",
        (*_axes(configs), ("ended", in_words(parts))),
        (*_columns(configs), "mean score", "standard error"),
        tuple(best),
        parts=parts,
        foot=_foot("cross_validation", "says how many are as good"),
    )


def multistart_card(found: Any) -> Card:
    """The card of a `Multistart`: what each minimum is worth, and how often it was met."""
    parts, met = _parts(found.fits), found.counts
    rows = [
        (str(minimum), short(found.scores[found.minima == minimum].max()), count(int(times), "start"))
        for minimum, times in enumerate(met[:BEST])
    ]
    ends = "1 minimum" if len(met) == 1 else f"{len(met):,} minima"
    return Card(
        "Multistart",
        f"{count(len(found.scores), 'start')}, {ends}",
        (("ended", in_words(parts)),),
        ("minimum", "score", "met by"),
        tuple(rows),
        parts=parts,
        foot=(("multistart.explain()", "says what to do about it"),),
    )


def range_test_card(found: Any) -> Card:
    """The card of a `RangeTest`: the suggestion, the limit, and J along the learning rates."""
    given = found.learning_rates, found.losses, found.status
    rates, losses, status = (x for x in map(numbers, given) if x is not None)
    finite = np.flatnonzero(np.isfinite(losses))
    lowest = finite[np.argmin(losses[finite])] if len(finite) else None
    facts = [("J at the start", short(found.start))]
    if lowest is not None:
        facts.append(("lowest J", f"{short(losses[lowest])}, at {short(rates[lowest])}"))
    # What explodes at the upper end would leave of the rest a line along the bottom.
    most = found.start if lowest is None else found.start + (found.start - losses[lowest]) / 2
    took = "no suggestion" if math.isnan(found.suggestion) else f"take {short(found.suggestion)}"
    limit = "" if math.isinf(found.limit) else f"; too high from {short(found.limit)}"
    return Card(
        "RangeTest",
        f"{took}{limit}",
        (
            ("learning rates", f"{len(rates)}, {short(rates[0])} to {short(rates[-1])}"),
            *facts,
            ("ended", in_words(parts_of(status))),
        ),
        curve=np.minimum(losses, most),
        curve_title="J after the training, along the learning rates",
        foot=(("range_test.explain()", "says why"),),
    )


def diagnosis_card(found: Any) -> Card:
    """The card of a `Diagnosis`: what was measured, without what was not, and its advice."""
    sizes = f"{count(found.num_params, 'param')}, {count(found.num_examples, 'example')}"
    if 0 < found.num_sampled < found.num_examples:
        sizes += f" ({found.num_sampled:,} of them drawn)"
    lines = {
        "loss": {
            "": found.loss,
            "gradient norm": found.gradient_norm,
            "critical batch size": found.noise_scale,
        },
        "curvature": {
            "largest": found.sharpness,
            "smallest": found.smallest_curvature,
            "condition number": found.condition_number,
        },
        "learning rate": {
            "best": found.best_learning_rate,
            "stable below": found.max_learning_rate,
        },
        "momentum": {"": found.momentum, "with learning rate": found.momentum_learning_rate},
    }
    facts = [(name, _measured(values)) for name, values in lines.items()]
    advice = [str(sentence) for sentence in found.advice]
    more = [f"and {len(advice) - NOTES} more"] if len(advice) > NOTES else []
    return Card(
        "Diagnosis",
        f"{sizes}; place: {found.place}",
        tuple((name, text) for name, text in facts if text),
        notes=(*advice[:NOTES], *more),
        foot=(("print(diagnosis.explain())", "has the advice as text"),),
    )


def _foot(name: str, text: str) -> tuple[tuple[str, str], ...]:
    return (f"{name}.explain()", text), (f"{name}.records()", "is a table of all")


def _measured(values: dict[str, Any]) -> str:
    known = {name: number for name, number in values.items() if not np.isnan(number)}
    return ", ".join(f"{name} {short(number)}".strip() for name, number in known.items())


def _parts(fits: Any) -> tuple:
    status = numbers(fits.status)
    return () if status is None else parts_of(status)


def _highest(ranks: np.ndarray) -> list[int]:
    """The places of the highest, the first of them first; none of what is not finite."""
    order = np.argsort(-ranks, kind="stable")
    return [int(place) for place in order[:BEST] if np.isfinite(ranks[place])]


def _name(status: int) -> str:
    return parts_of(np.array([status]))[0].name


def _axes(configs: Any) -> tuple[tuple[str, str], ...]:
    """The axes of a space, each with its range or its values."""
    texts = [f"{clipped(name, 40)} {_range(axis)}" for name, axis in list(configs.axes.items())]
    return (("axes", listed(texts, MOST_AXES)),)


def _range(axis: Any) -> str:
    if isinstance(axis, StaticAxis):
        return "/".join(dict.fromkeys(_value(value) for value in axis.values[:MOST_AXES]))
    values = numbers(axis)
    if values is None or values.ndim != 1 or not np.isfinite(values).any():
        return f"[{', '.join(map(str, shape_of(axis)[1:]))}]"
    finite = values[np.isfinite(values)]
    low, high = short(finite.min()), short(finite.max())
    return low if low == high else f"{low} to {high}"


def _columns(configs: Any) -> tuple[str, ...]:
    return "number", *(clipped(name, 40) for name in list(configs.axes)[:MOST_AXES])


def _config(configs: Any, place: int) -> tuple[str, ...]:
    return str(place), *list(_texts(configs, place).values())[:MOST_AXES]


def _texts(configs: Any, place: int) -> dict[str, str]:
    """The values of a configuration in words; taken on the host, for JAX would compile an index."""
    found = {}
    for name, axis in configs.axes.items():
        if isinstance(axis, StaticAxis):
            found[name] = _value(axis.values[place])
        else:
            values = numbers(axis)
            found[name] = _value(axis if values is None else values[place])
    return found


def _value(value: Any) -> str:
    """A number, the name of a function, a short text, or the shape of an array."""
    if callable(value) and hasattr(value, "__name__"):
        return clipped(value.__name__, 24)
    if hasattr(value, "shape"):
        return short(value) if value.shape == () and numbers(value) is not None else _shape(value)
    return short(value) if isinstance(value, float) else clipped(value, 24)


def _shape(value: Any) -> str:
    return f"{value.dtype}[{', '.join(map(str, value.shape))}]"


def _pairs(config: dict[str, Any]) -> str:
    return ", ".join(f"{name} {_value(value)}" for name, value in config.items())

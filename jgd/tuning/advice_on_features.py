"""What was measured of the features, as sentences with numbers."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jgd.tuning.features_at_hand import Features
from jgd.tuning.findings import Findings
from jgd.tuning.pace import rates
from jgd.tuning.separable import Parted
from jgd.wording import count, figure, listed

FAR_APART = 1e3  # scales of features, and a mean beside its deviation
WORTH_IT = 3  # by how many times standardising must lower the condition number


def hidden_by_scale(found: Findings) -> bool:
    """Whether directions are flat only beside columns of a far larger scale."""
    return found.standard is not None and found.standard.num_flat < found.curvature.num_flat


def of_standardising(found: Findings) -> Iterator[str]:
    if found.standard is None:
        return
    names = " and ".join(part.columns.name for part in found.features)
    before, after = found.curvature.condition_number, found.standard.condition_number
    bound = ""
    if hidden_by_scale(found):
        before, bound = found.curvature.largest / found.curvature.blur, "more than "
    if not np.isfinite(after) or before < WORTH_IT * after:
        return
    times = f", {figure(before / after)} times" if np.isfinite(before) and not bound else ""
    (old, _), (new, _) = rates(found.curvature), rates(found.standard)
    if any(part.layer is None or part.layer.bias is None for part in found.features):
        how = f"Divide the columns of {names} by their standard deviations"
    else:
        how = f"Standardise {names} (jgd.features.standardize)"
    yield (
        f"{how}: with the same predictions that lowers the condition number from {bound}"
        f"{figure(before)} to {figure(after)}{times}, and batch descent is stable below a learning rate "
        f"of {figure(new)} instead of {figure(old)}."
    )


def of_parted_classes(found: Parted | None) -> Iterator[str]:
    if found is None:
        return
    values = [figure(value) for value in found.values]
    shown = f" ({', '.join(values)} at 1, 10 and 100 times)" if len(set(values)) == 3 else ""
    yield (
        f"There is no minimum: a plane in {found.features} has all {count(found.num_inside, 'example')} "
        f"of label {found.plane.label:g} of {found.labels} on one side and all others beyond. It was "
        f"found, so this is proved. Along its normal J falls for ever{shown}, and the weights grow as "
        "long as you train: add a penalty, such as jgd.penalties.l2(1e-3), or stop by a validation "
        "score."
    )


def of_columns(part: Features, found: Findings) -> Iterator[str]:
    columns = part.columns
    ratio = columns.scale_ratio()
    if ratio >= FAR_APART:
        spread = np.where(columns.deviation > 0, columns.deviation, np.nan)
        wide, narrow = int(np.nanargmax(spread)), int(np.nanargmin(spread))
        yield (
            f"The columns of {columns.name} are {figure(ratio)} times apart in scale: column {wide} has "
            f"a standard deviation of {figure(spread[wide])}, column {narrow} one of "
            f"{figure(spread[narrow])}."
        )
    yield from _of_offset(part, found)
    yield from _of_constants(part, found)
    yield from _of_dependent(part, found)


def _of_dependent(part: Features, found: Findings) -> Iterator[str]:
    if not part.dependent:
        return
    name, constant = part.columns.name, " and a constant" if part.has_constant else ""
    ways = [
        f"column {column} from column{'s' * (len(others) > 1)} {listed(others, 3)}"
        for column, others in part.dependent
    ]
    shown = "; ".join(ways[:3]) + "; ..." * (len(ways) > 3)
    is_sample = found.num_sampled < found.num_examples
    drawn = f" in the {found.num_sampled:,} rows drawn" if is_sample else ""
    advice = "."  # where the loss is not linear in them they may be of use
    if part.layer is not None:
        advice = ". Such columns can be dropped."
        if found.curvature.is_convex and found.curvature.num_flat and not found.has_kinks:
            advice = (
                ", so that their weights are not determined. Drop such columns, or add a penalty "
                "(jgd.penalties.l2)."
            )
    yield (
        f"{_subject([column for column, _ in part.dependent], name)} no news{drawn}, but made of "
        f"others{constant} ({shown}){advice}"
    )


def _of_constants(part: Features, found: Findings) -> Iterator[str]:
    columns, layer = part.columns, part.layer
    constant = np.flatnonzero(columns.constant)
    kept = ""
    if layer is not None and layer.bias is None:
        serves = constant[columns.mean[constant] != 0][:1]
        constant = np.setdiff1d(constant, serves)
        kept = "".join(f", and column {column} is one" for column in serves)
    if found.num_examples < 2 or not len(constant):
        return
    drop = "drop it" if len(constant) == 1 else "drop them"
    advice = "" if layer is None else f": {drop}"
    yield (
        f"{_subject(constant, columns.name)} constant. What is the same for all examples can do no more "
        f"than a bias{kept}{advice}."
    )


def _of_offset(part: Features, found: Findings) -> Iterator[str]:
    columns, limits = part.columns, jnp.finfo(found.dtype)
    varied = columns.deviation > 0
    offset = np.where(varied, np.abs(columns.mean) / np.where(varied, columns.deviation, 1), 0)
    far = np.flatnonzero(offset >= FAR_APART)
    if not len(far):
        return
    worst = int(np.argmax(offset))
    which = "" if len(far) == 1 else f"column {worst} has the "
    digits = max(-math.log10(float(limits.eps) * offset[worst]), 0)
    yield (
        f"{_subject(far, columns.name)} far from 0: {which}mean {figure(columns.mean[worst])} and "
        f"standard deviation {figure(columns.deviation[worst])}, of which {limits.dtype.name} keeps "
        f"{digits:.1f} digits. Subtract the mean before the data become {limits.dtype.name}."
    )


def _subject(places: Sequence[Any] | np.ndarray, name: str) -> str:
    one = len(places) == 1
    return f"{'Column' if one else 'Columns'} {listed(list(places))} of {name} {'is' if one else 'are'}"

"""How long does one wait before the first step: for the import, for compiling, for a second process?

A first call traces, lowers and compiles; by how much it takes longer than the second is what counts.
Every first call has a structure that was not seen before, and rounds go through all of them in turns.
"""

import functools
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
from first_call import CLASSES, make_fit, seconds
from harness import ROUNDS, Competitor, Figure, Row, compare, readable, save

import jgd

IMPORT_LIMIT, COMPILE_LIMIT, CACHE_AIM = 0.3, 0.5, 3
CACHE_SETTINGS = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
CACHE_NOTE = (
    "For the cache that outlives a process, set JAX_COMPILATION_CACHE_DIR to a folder and "
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS to 0: without the latter jax keeps only programs that "
    "compile for a second or longer."
)
VARIANTS = {"batch": None, "stochastic": 1, "mini-batch 32": 32}
LOSSES = {
    "squared_error": (jgd.losses.squared_error, None),
    "absolute_error": (jgd.losses.absolute_error, None),
    "huber": (jgd.losses.huber(1.0), None),
    "quantile": (jgd.losses.quantile(0.5), None),
    "poisson": (jgd.losses.poisson, None),
    "logistic": (jgd.losses.logistic, None),
    "hinge": (jgd.losses.hinge, None),
    "squared_hinge": (jgd.losses.squared_hinge, None),
    f"softmax, {CLASSES} classes": (jgd.losses.softmax, CLASSES),
}


def main() -> None:
    imports, extra = _imports()
    save(
        "How long does one wait before the first step?",
        "call",
        [imports, _cached_call(), *_compiling()],
        figures=[extra, _compiled_again()],
        notes=[CACHE_NOTE],
    )


def _imports() -> tuple[Row, Figure]:
    row = compare("a new process that imports", [_importing("jgd"), _importing("jax")])
    extra = row.seconds["jgd"] - row.seconds["jax"]
    return row, Figure("import jgd beyond import jax", extra, "s", IMPORT_LIMIT)


def _importing(module: str) -> Competitor:
    return Competitor(module, functools.partial(_run, "-c", f"import {module}"))


def _run(*arguments: str, **environment: str) -> str:
    return subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


def _cached_call() -> Row:
    """The first call in a new process, without and with what an earlier process compiled."""
    script, empty, filled = str(Path(__file__).with_name("first_call.py")), [], []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            cache = CACHE_SETTINGS | {"JAX_COMPILATION_CACHE_DIR": folder}
            empty.append(float(_run(script, **cache)))
            filled.append(float(_run(script, **cache)))
    times = {"cache filled": statistics.median(filled), "cache empty": statistics.median(empty)}
    return Row("first call in a new process", times, {"cache empty": CACHE_AIM})


def _compiling() -> Sequence[Row]:
    """What the first call of each loss and variant takes beyond the second."""
    taken = {(name, variant): [] for name in LOSSES for variant in VARIANTS}
    for _ in range(ROUNDS):
        for name, variant in taken:
            fit = make_fit(*LOSSES[name], VARIANTS[variant])
            taken[name, variant].append(seconds(fit, 0.01) - seconds(fit, 0.02))
    rows = []
    for name in LOSSES:
        times = {variant: statistics.median(taken[name, variant]) for variant in VARIANTS}
        rows.append(Row(f"compiling {name}", times, {}, COMPILE_LIMIT))
        print(name, *(f"{variant} {readable(time)}" for variant, time in times.items()), sep="; ")
    return rows


def _compiled_again() -> Figure:
    """Programs that second calls compile, which have another learning rate."""
    fits = [make_fit(*LOSSES[name], size) for name in LOSSES for size in VARIANTS.values()]
    for fit in fits:
        fit(0.01)
    count = _programs_compiled(lambda: [fit(0.02) for fit in fits])
    return Figure("programs that second calls compile", count, "programs", 0)


def _programs_compiled(run: Callable) -> int:
    found = []

    def listen(event: str, duration: float, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            found.append(duration)

    jax.monitoring.register_event_duration_secs_listener(listen)
    run()
    jax.monitoring.unregister_event_duration_listener(listen)
    return len(found)


if __name__ == "__main__":
    main()

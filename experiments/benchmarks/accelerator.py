"""What do steps and full gradients cost on an accelerator: a GPU, a TPU, whatever JAX computes on?

Logistic regression with 128 features on the default device. Steps of 1 to 65,536 learning rates in one
program, stochastic and in batches of 32, against the scan that optax users write, a loop in torch and
the same loop as a CUDA graph. The objective and its gradient over more data than the caches hold,
against the memory that the device was seen to read and write in the same run. The data are float32 and
bfloat16, the params float32. Without an accelerator it runs on the CPU, with fewer steps.

    python experiments/benchmarks/accelerator.py            # results for report.py
    python experiments/benchmarks/accelerator.py --quick    # tiny: does it run? No result is kept.
"""

import argparse
import functools
import importlib.util
import json
import math
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import harness
import jax
import jax.numpy as jnp
import numpy as np
import optax
import problems
import report
from harness import Competitor, Figure, Row, compare

import jgd

VARIANTS = {"stochastic": 1, "mini-batch 32": 32}
DTYPES = ("float32", "bfloat16")
TORCH_STEPS = 256  # that torch takes at most, each of which costs the same
STEPS_OF_A_GRAPH = 64  # that one CUDA graph takes
MEMORY_SHARE = 0.8  # of what is free, that a program may want
UNIT_OF_SHARE = "% of the most that memory moved"
NOTES = [
    "A step bears its share of what an epoch does beside the steps: the order, the mean loss, and in "
    "jgd the gradient norm (of 256 examples).",
    "Products of float32 have the precision that JAX takes by default: TF32 on GPUs of NVIDIA, which "
    "torch was told to take as well, and bfloat16 on TPUs.",
]


class Sizes(NamedTuple):
    """How much is measured.

    Attributes:
      lanes: learning rates in one program.
      num_features: D.
      steps: of an epoch, at most.
      examples: that all lanes together take in an epoch, at most.
      gradient_bytes: of the data of a full gradient.
      shortest: seconds that a timing shall last at least.
      rounds: timings of each competitor.
      pause: seconds before each of them, where thread pools have to come to rest.
    """

    lanes: Sequence[int]
    num_features: int
    steps: int
    examples: int
    gradient_bytes: int
    shortest: float
    rounds: int
    pause: float


LANES = (1, 8, 64, 512, 4096, 65_536)
ON_ACCELERATOR = Sizes(LANES, 128, 2048, 2**34, 2**30, 0.1, harness.ROUNDS, 0.02)
ON_CPU = Sizes(LANES, 128, 2048, 2**25, 200 * 2**20, 0.05, 2, 0.1)
QUICK = Sizes((1, 8), 4, 16, 256, 2**14, 0, 1, 0)


class Measured(NamedTuple):
    """What was found so far; the lists grow."""

    rows: list[Row]
    figures: list[Figure]
    notes: list[str]


def main() -> None:
    parser = argparse.ArgumentParser(description="Steps and full gradients on the default device.")
    parser.add_argument("--quick", action="store_true", help="tiny sizes; no result is kept")
    parser.add_argument("--output", type=Path, help="folder of the result, even of a quick one")
    options = parser.parse_args()
    on_cpu = jax.default_backend() == "cpu"
    sizes = QUICK if options.quick else ON_CPU if on_cpu else ON_ACCELERATOR
    folder = options.output or (None if options.quick else harness.RESULTS)
    harness.PAUSE = sizes.pause
    print(_heading(on_cpu), flush=True)
    measured = Measured([], [], list(NOTES))
    for _ in measurements(sizes, measured):
        if folder is not None:  # after each, for a lent machine may be taken away
            path = write(folder, measured)
    print("", *report.accelerator_section([content(measured)]).splitlines(), sep="\n")
    if folder is not None:
        print(f"written: {path}")


def _heading(on_cpu: bool) -> str:
    machine = harness.machine()
    where = f"{machine['devices'][0]}, jax {jax.__version__}, {machine['date']}"
    if on_cpu:
        return f"No accelerator is here. All of this ran on the CPU ({machine['processor']}): {where}."
    return f"On {where}."


def content(measured: Measured) -> dict[str, Any]:
    """As `harness.save` has it, and the platform, by which `report.py` leaves out what ran on a CPU."""
    return {
        "question": report.ACCELERATORS,
        "unit": "step and lane, and per call where the work is a gradient",
        "rows": [row._asdict() for row in measured.rows],
        "figures": [figure._asdict() for figure in measured.figures],
        "notes": measured.notes,
        "platform": jax.default_backend(),
        "machine": harness.machine(),
    }


def write(folder: Path, measured: Measured) -> Path:
    """One file per kind of device and version of jax."""
    folder.mkdir(parents=True, exist_ok=True)
    kind = re.sub(r"[^a-z0-9]+", "_", jax.devices()[0].device_kind.lower())
    path = folder / f"{report.ACCELERATOR}-{kind}-jax{jax.__version__}.json"
    path.write_text(json.dumps(content(measured), indent=1, ensure_ascii=False) + "\n")
    return path


def measurements(sizes: Sizes, measured: Measured) -> Iterator[None]:
    """Measure one thing after the other; what was found is in `measured` at each stop."""
    torch = torch_of_the_device(measured.notes)
    rates: dict[str, float] = {}
    for dtype in DTYPES:
        rates |= _measure_gradient(sizes, dtype, measured)
        yield
    _add_shares(rates, measured.figures)
    for (variant, batch_size), dtype in [(v, d) for v in VARIANTS.items() for d in DTYPES]:
        for lanes in sizes.lanes:
            work = f"{variant}, {lanes:,} {'lane' if lanes == 1 else 'lanes'}, {dtype}"
            competitors = _steps(sizes, batch_size, dtype, lanes, torch)
            _compare(work, competitors, sizes, measured)
            yield


def _compare(work: str, competitors: dict[str, Callable], sizes: Sizes, measured: Measured) -> None:
    """A row of those that there is memory for; what went wrong is a note. Without ours there is no row.

    Args:
      work: for the table.
      competitors: name -> a function that makes the `Competitor`.
      sizes: how much is measured.
      measured: what was found; a row is added.
    """
    ready = []
    for name, make in competitors.items():
        try:
            run, units = make()
            ready.append(_repeated(name, run, units, sizes))
        except (MemoryError, RuntimeError) as error:  # that of JAX and that of torch are RuntimeErrors
            reason = str(error).strip().partition("\n")[0][:200]
            measured.notes.append(f"{work}, {name}: left out ({reason}).")
            print(measured.notes[-1], flush=True)
    if ready and ready[0].name == next(iter(competitors)):
        measured.rows.append(compare(work, ready, rounds=sizes.rounds))


def _repeated(name: str, run: Callable, units: float, sizes: Sizes) -> Competitor:
    """So many calls in a run that it lasts; on a CPU, where two might run at once, one by one."""
    taken = _seconds(run)
    if taken < sizes.shortest:  # the first may have compiled, or met cold caches
        taken = _seconds(run)
    calls = min(max(math.ceil(sizes.shortest / taken), 1), 200)
    one_by_one = jax.default_backend() == "cpu"

    def runs():
        for _ in range(calls):
            last = run()
            if one_by_one:
                jax.block_until_ready(last)
        return last

    return Competitor(name, runs, units=calls * units)


def _seconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    jax.block_until_ready(run())
    return time.perf_counter() - start


def _compiled(function: Callable, *args: Any) -> Callable[[], Any]:
    """A call of the compiled function; MemoryError where it wants more than there is."""
    program = jax.jit(function).lower(*args).compile()
    analysis, free = program.memory_analysis(), _free_bytes()
    wanted = analysis.temp_size_in_bytes + analysis.output_size_in_bytes if analysis else 0
    if wanted > MEMORY_SHARE * free:
        raise MemoryError(
            f"wants {wanted / 1e9:.3g} GB of memory, of which {free / 1e9:.3g} GB are free"
        )
    return functools.partial(program, *args)


def _free_bytes() -> float:
    stats = jax.devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats["bytes_in_use"]
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _data(num_examples: int, num_features: int, dtype: str) -> tuple[jax.Array, jax.Array]:
    inputs, labels = problems.classification(num_examples, num_features)
    return inputs.astype(dtype), labels


# Steps


def _steps(sizes: Sizes, batch_size: int, dtype: str, lanes: int, torch: Any) -> dict[str, Callable]:
    """Those who take an epoch of steps: name -> function to (run, steps times lanes of it)."""
    steps = min(sizes.steps, max(sizes.examples // (lanes * batch_size), 1))
    data = _data(steps * batch_size, sizes.num_features, dtype)
    rates = jnp.logspace(-4, -1, lanes)
    makers: dict[str, Callable] = {"jgd": lambda: (_jgd(data, batch_size, rates), steps * lanes)}
    if lanes == 1:
        makers["jgd without vmap"] = lambda: (_jgd(data, batch_size, rates[0]), steps)
    makers["optax scan"] = lambda: (_optax(data, batch_size, rates), steps * lanes)
    on_gpu = jax.default_backend() == "gpu"
    if torch is not None and (on_gpu or lanes == 1):  # on a CPU many would take minutes
        few = jax.tree.map(lambda x: x[: TORCH_STEPS * batch_size], data)
        loop = functools.partial(torch_steps, torch, few, batch_size, rates)
        units = min(steps, TORCH_STEPS) * lanes
        makers["torch loop"] = lambda: (loop(), units)
        if on_gpu:
            makers["torch CUDA graph"] = lambda: (loop(as_graph=True), units)
    return makers


def _jgd(data, batch_size: int, rates) -> Callable[[], Any]:
    """One descent, or a lane for each learning rate."""

    def fit(rule, params, data, key):
        return jgd.descend(
            problems.LOGISTIC, params, data, rule=rule, batch_size=batch_size, epochs=1, key=key
        )

    fits = jax.vmap(fit, in_axes=(0, None, None, None)) if rates.ndim else fit
    params = jgd.models.linear.init(None, data[0].shape[1])
    return _compiled(fits, jgd.sgd(rates), params, data, jax.random.key(0))


def mean_loss(params, inputs, labels):
    """Of a batch, batched by hand."""
    logits = inputs @ params["weights"] + params["bias"]
    return jnp.mean(optax.sigmoid_binary_cross_entropy(logits, labels))


def _optax(data, batch_size: int, rates) -> Callable[[], Any]:
    fit = functools.partial(
        problems.optax_fit, mean_loss=mean_loss, momentum=None, batch_size=batch_size, epochs=1
    )
    params, key = jgd.models.linear.init(None, data[0].shape[1]), jax.random.key(0)
    if len(rates) == 1:
        return _compiled(fit, params, rates[0], key, *data)
    return _compiled(jax.vmap(fit, in_axes=(None, 0, None, None, None)), params, rates, key, *data)


# torch


def torch_of_the_device(notes: list[str]) -> Any:
    """The module where it computes on the device of JAX, else None; a note of what is lacking."""
    platform = jax.default_backend()
    if importlib.util.find_spec("torch") is None:
        torch, lacking = None, "torch: not installed."
    else:
        import torch

        torch.set_float32_matmul_precision("high")  # TF32, which JAX takes by default
        if platform == "gpu" and torch.cuda.is_available():
            return torch
        if platform == "cpu":
            torch.set_num_threads(1)  # else its threads wait at work, where those of XLA want to be
            lacking = "torch CUDA graph: no CUDA. The loop of torch has one thread."
        else:
            torch, lacking = None, f"torch: no {'CUDA' if platform == 'gpu' else platform.upper()}."
    print(lacking, flush=True)
    notes.append(lacking)
    return torch


def torch_steps(torch: Any, data, batch_size: int, rates, as_graph: bool = False) -> Callable[[], Any]:
    """An epoch of all lanes as a product of matrices, step after step, or many of them as a CUDA graph.

    Returns:
      A function to the mean loss of each lane.
    """
    device = "cuda" if jax.default_backend() == "gpu" else "cpu"
    inputs, labels = (torch.from_numpy(np.array(x, np.float32)).to(device) for x in data)
    inputs = inputs.to(getattr(torch, str(data[0].dtype)))
    rates = torch.from_numpy(np.array(rates)).to(device)
    weights = torch.zeros(len(rates), inputs.shape[1], device=device, requires_grad=True)
    bias, total = torch.zeros_like(rates, requires_grad=True), torch.zeros_like(rates)
    num_steps = min(STEPS_OF_A_GRAPH, len(inputs) // batch_size)
    index = torch.zeros(num_steps, batch_size, dtype=torch.long, device=device)

    def steps():
        for rows in index.unbind():
            logits = inputs[rows].float() @ weights.T + bias
            wanted = labels[rows, None].expand_as(logits)
            losses = torch.nn.functional.binary_cross_entropy_with_logits(
                logits, wanted, reduction="none"
            ).mean(dim=0)
            of_weights, of_bias = torch.autograd.grad(losses.sum(), (weights, bias))
            with torch.no_grad():
                weights.sub_(rates[:, None] * of_weights)
                bias.sub_(rates * of_bias)
                total.add_(losses, alpha=batch_size)

    take_steps = _captured(torch, steps) if as_graph else steps

    def run():
        for x in (weights, bias, total):
            x.detach().zero_()
        for rows in torch.randperm(len(inputs), device=device).view(-1, num_steps, batch_size):
            index.copy_(rows)
            take_steps()
        return (total / len(inputs)).tolist()

    return run


def _captured(torch: Any, function: Callable[[], None]) -> Callable[[], None]:
    """The kernels of the function as one graph; it runs once before, on a stream of its own."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        function()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        function()
    return graph.replay


# Full gradients


def _measure_gradient(sizes: Sizes, dtype: str, measured: Measured) -> dict[str, float]:
    """The full gradient beside what merely reads X, or reads and writes it.

    Returns:
      Whose gradient -> GB/s, if X is counted as read once.
    """
    bytes_of_row = sizes.num_features * jnp.dtype(dtype).itemsize
    num_examples = int(min(sizes.gradient_bytes, _free_bytes() / 8)) // bytes_of_row
    data = _data(num_examples, sizes.num_features, dtype)
    weights = np.random.default_rng(1).normal(scale=0.1, size=sizes.num_features)
    params = {"weights": jnp.asarray(weights, jnp.float32), "bias": jnp.float32(0.1)}
    gradient = functools.partial(jgd.value_and_gradient, problems.LOGISTIC)
    by_hand = jax.value_and_grad(mean_loss)
    makers = {
        "jgd": lambda: (_compiled(gradient, params, data), 1),
        "jgd, not within jit": lambda: (functools.partial(gradient, params, data), 1),
        "jax.grad": lambda: (_compiled(by_hand, params, *data), 1),
        "sum of X": lambda: (_compiled(jnp.sum, data[0]), 1),
        "negating X": lambda: (_negating(data[0]), 1),
    }
    work = f"J and its gradient, {num_examples:,} x {sizes.num_features}, {dtype}"
    _compare(work, makers, sizes, measured)
    if not measured.rows or measured.rows[-1].work != work:
        return {}
    rates = {name: data[0].nbytes / took / 1e9 for name, took in measured.rows[-1].seconds.items()}
    for name, times in (("sum of X", 1), ("negating X", 2)):
        if name in rates:
            what = f"memory moved by {name}, {dtype}"
            measured.figures.append(Figure(what, times * rates[name], "GB/s"))
    return {f"{name}, {dtype}": rates[name] for name in ("jgd", "jax.grad") if name in rates}


def _negating(x) -> Callable[[], Any]:
    """In place, for new memory has a price of its own on a CPU; and no compiler can leave it out."""
    negate, held = jax.jit(jnp.negative, donate_argnums=0), [jnp.copy(x)]

    def run():
        held[0] = negate(held[0])
        return held[0]

    return run


def _add_shares(rates: dict[str, float], figures: list[Figure]) -> None:
    """Of the most bytes a second of either dtype, for some devices convert bfloat16 slowly."""
    most = max((figure.value for figure in figures), default=math.nan)
    for name, rate in rates.items():
        figures.append(Figure(f"X, read once, in the time of {name}", 100 * rate / most, UNIT_OF_SHARE))


if __name__ == "__main__":
    main()

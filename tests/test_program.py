"""What the compiled program holds: causes of speed, not timings."""

import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

import jgd
from jgd.descent.order import plan

pytestmark = pytest.mark.exhaustive  # with the oldest versions the compiler leaves optimisations out


def loss(params, example):
    x, y = example
    return jgd.losses.logistic(jgd.models.linear.predict(params, x), y)


def compiled(batch_size, num_examples=10_000, features=20, lanes=None):
    shapes = (num_examples, features), (num_examples,)
    data = tuple(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes)
    params = jgd.models.linear.init(jax.random.key(0), features)

    def train(rule, data, key):
        return jgd.descend(
            jgd.objective(loss), params, data, rule=rule, batch_size=batch_size, epochs=3, key=key
        )

    rule = jgd.sgd(0.1)
    if lanes:
        train, rule = jax.vmap(train, (0, None, None)), jgd.sgd(jnp.full(lanes, 0.1))
    return jax.jit(train).lower(rule, data, jax.random.key(0)).compile()


def computations(text):
    """Lines of an HLO text by the name of the computation that they stand in."""
    found = {}
    for line in text.splitlines():
        if line.startswith(("%", "ENTRY")):
            lines = found.setdefault(line.split()[0], [])
        elif found:
            lines.append(line)
    return found


def computations_with_a_loop_of(text, trips):
    """Names of the computations of an HLO text that hold a loop with this number of trips."""
    mark = f'"known_trip_count":{{"n":"{trips}"}}'
    return [
        name
        for name, lines in computations(text).items()
        if any(" while(" in line and mark in line for line in lines)
    ]


def lines_of_a_step(text, trips):
    """Everything that is computed in the body of the one loop with this number of trips."""
    found = computations(text)
    mark = f'"known_trip_count":{{"n":"{trips}"}}'
    (loop,) = [line for lines in found.values() for line in lines if " while(" in line and mark in line]
    names, lines = re.findall(r"body=(%[\w.-]+)", loop), []
    while names:
        new = found[names.pop()]
        names += re.findall(r"(?:calls|to_apply)=(%[\w.-]+)", "\n".join(new))
        lines += new
    return lines


@pytest.mark.cpu
@pytest.mark.skipif(
    tuple(map(int, jax.__version__.split(".")[:2])) < (0, 12), reason="folding is off before jax 0.12"
)
@pytest.mark.parametrize("num_examples", [10_000, 9_973])
def test_the_steps_of_stochastic_descent_are_one_folded_loop(num_examples):
    text = compiled(1, num_examples).as_text()
    steps = plan(num_examples, 1, 21 * 4).steps
    holders = computations_with_a_loop_of(text, steps)
    assert len(holders) == 1
    folded = [line for line in text.splitlines() if "xla_cpu_small_call" in line]
    assert any(f"to_apply={holders[0]}," in line for line in folded)


@pytest.mark.cpu
@pytest.mark.parametrize("lanes", [16, 64])
def test_a_step_of_lanes_works_on_the_lanes_as_they_lie(lanes):
    """Few of them are filled up to 64, below which the loops over lanes are not made of vectors."""
    text = compiled(1, lanes=lanes).as_text()
    step = lines_of_a_step(text, plan(10_000, 1, 21 * 4).steps)
    in_memory = re.findall(r"= (\w+\[[\d,]*\]\{[\d,]*\}) parameter\(", "\n".join(step))
    assert "f32[20,64]{1,0}" in in_memory
    assert not {"f32[64,20]{1,0}", "f32[20,64]{0,1}"} & set(in_memory)


@pytest.mark.cpu
def test_a_step_sums_no_long_vector_from_left_to_right():
    """The processor would wait for each sum in turn, also within the windows that XLA makes of it."""
    step = lines_of_a_step(compiled(1, features=100).as_text(), plan(10_000, 1, 101 * 4).steps)
    lengths = dict(re.findall(r"(%[\w.-]+) = \w+\[(\d+)\]", "\n".join(step)))
    summed = [name for line in step for name in re.findall(r" reduce\((%[\w.-]+)", line)]
    assert not [name for name in summed if int(lengths[name]) > 8]
    assert not [line for line in step if " reduce-window(" in line or " dot(" in line]


@pytest.mark.cpu
@pytest.mark.parametrize("batch_size", [None, 1, 32, jnp.array(32)], ids=str)
def test_the_memory_beside_the_data_is_small(batch_size):
    program = compiled(batch_size, 100_000, 100)
    assert program.memory_analysis().temp_size_in_bytes < 0.2 * 100_000 * 101 * 4


@pytest.mark.cpu
@pytest.mark.parametrize("batch_size", [1, 32])
def test_nothing_is_sorted_or_scattered_and_the_data_are_not_copied(batch_size):
    program = compiled(batch_size)
    text = program.as_text()
    assert " sort(" not in text
    assert " scatter(" not in text
    data_bytes = 10_000 * 21 * 4
    chunk_and_order = 2**20 + 10_000 * 4 * 4
    assert program.memory_analysis().temp_size_in_bytes < chunk_and_order + data_bytes / 2


def test_import_stays_in_the_pure_world():
    code = (
        "import jgd, sys; "
        "heavy = {'matplotlib', 'sklearn', 'polars', 'typer', 'rich'} & set(sys.modules); "
        "assert not heavy, heavy; "
        "import jax; assert not jax._src.xla_bridge._backends, 'import started a backend'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("stop", [None, jgd.stop.plateau(), jgd.stop.gradient_norm(1e-9)])
def test_lanes_read_each_row_once_for_all_of_them(stop):
    """No gather has a lane axis, though each lane ends when it likes."""
    lanes, rows = 7, 600
    data = jnp.zeros((rows, 5)), jnp.zeros(rows)
    params = jgd.models.linear.init(jax.random.key(0), 5)

    def train(rate, data):
        return jgd.stochastic_descent(
            jgd.objective(loss),
            params,
            data,
            rule=jgd.sgd(rate),
            epochs=3,
            key=jax.random.key(0),
            stop=stop,
        )

    program = jax.jit(jax.vmap(train, (0, None))).lower(jnp.ones(lanes), data).compile()
    gathers = re.findall(r"= \w+\[([\d,]*)\]\S* gather\(", program.as_text())
    assert gathers
    assert not [shape for shape in gathers if str(lanes) in shape.split(",")]

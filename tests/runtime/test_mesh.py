"""Rows laid over devices and processes: the numbers of one device, and bad shares are refused."""

import socket
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

import jgd
from jgd.descent.laid import DEVIATIONS
from jgd.descent.order import order, position_of
from tests import laid_cases, problems
from tests.cases import VARIANTS

ROOT = Path(__file__).parents[2]
SECONDS = 300


def run_processes(out, *options, processes=1):
    """Run the cases in processes of their own; the losses that they found."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    script = [sys.executable, str(ROOT / "tests" / "laid_cases.py"), str(out), *options]
    given = ["--processes", str(processes), "--port", port]
    running = [
        subprocess.Popen([*script, *given, "--process", str(i)], cwd=ROOT, stderr=subprocess.PIPE)
        for i in range(processes)
    ]
    errors = [process.communicate(timeout=SECONDS)[1].decode() for process in running]
    assert all(process.returncode == 0 for process in running), errors
    return dict(np.load(out))


def assert_as_on_one_device(found):
    """Of the kind that the processes have, whichever is the default here."""
    with jax.default_device(jax.devices("cpu")[0]):
        for name, losses in found.items():
            expected = on_one_device(name)
            np.testing.assert_allclose(losses, expected, rtol=1e-5, atol=1e-6, err_msg=name)


def on_one_device(name):
    rows, weights = laid_cases.data()
    if name == "weighted":
        return laid_cases.losses("sgd", "minibatch", rows, weights)
    if name == "lanes":
        return laid_cases.swept(rows)
    if name == "wide":
        return laid_cases.losses("adam", "minibatch", rows)
    return laid_cases.losses(*name.split(), rows)


@pytest.mark.exhaustive
def test_eight_devices_give_the_losses_of_one(tmp_path):
    found = run_processes(tmp_path / "found.npz", "--devices", "8")
    assert len(found) == len(laid_cases.names(False)) + 3
    assert_as_on_one_device(found)


@pytest.mark.exhaustive
def test_two_processes_give_the_losses_of_one(tmp_path):
    assert_as_on_one_device(run_processes(tmp_path / "found.npz", "--few", processes=2))


@pytest.mark.exhaustive
def test_four_processes_give_the_losses_of_one(tmp_path):
    assert_as_on_one_device(run_processes(tmp_path / "found.npz", "--few", processes=4))


@pytest.mark.two_devices
@pytest.mark.parametrize("variant", VARIANTS)
def test_two_devices_give_the_losses_of_one(variant):
    rows, weights = laid_cases.data()
    laid, laid_weights = jgd.shard_rows(rows, weights=weights)
    expected = laid_cases.losses("adam", variant, rows, weights)
    np.testing.assert_allclose(
        laid_cases.losses("adam", variant, laid, laid_weights), expected, rtol=1e-5, atol=1e-6
    )


def test_a_large_batch_takes_no_more_room_than_its_share_and_overflows_right(monkeypatch):
    """With an allowance of no deviation at all, some device has more rows than its share."""
    problem = problems.least_squares(num_examples=512)
    options = {"rule": jgd.sgd(0.01), "batch_size": 128, "epochs": 3, "key": jax.random.key(0)}
    objective = jgd.objective(problem.loss)
    expected = jgd.descend(objective, problem.params, problem.data, **options)
    laid, _ = jgd.shard_rows(problem.data)
    for deviations in (DEVIATIONS, 0):
        monkeypatch.setattr("jgd.descent.laid.DEVIATIONS", deviations)
        jax.clear_caches()
        came = jgd.descend(objective, problem.params, laid, **options)
        np.testing.assert_allclose(came.params, expected.params, rtol=2e-5)


def test_the_place_of_an_example_is_the_inverse_of_the_order():
    for num in (1, 2, 7, 100, 1001):
        key = jax.random.key(num)
        whole = order(key, 5, num)
        assert position_of(key, 5, whole, num).tolist() == list(range(num))


@pytest.mark.two_devices
def test_a_stop_test_an_evaluation_and_a_random_objective_see_what_one_device_sees():
    problem = problems.least_squares(num_examples=40)

    def noisy(params, example, key):
        return problem.loss(params, example) * (1 + 0.1 * jax.random.normal(key))

    def evaluate(params, validation):
        return jnp.mean(validation["x"] @ params)

    def fit(data):
        return jgd.descend(
            jgd.objective(noisy, random=True),
            problem.params,
            data,
            rule=optax.sgd(0.02),
            batch_size=8,
            epochs=30,
            key=jax.random.key(1),
            stop=jgd.stop.gradient_norm(1.0),
            evaluate=evaluate,
        )

    came, expected = fit(jgd.shard_rows(problem.data)[0]), fit(problem.data)
    assert came.epochs == expected.epochs < 30
    for c, e in zip(jax.tree.leaves(came.history), jax.tree.leaves(expected.history), strict=True):
        np.testing.assert_allclose(c, e, rtol=1e-4, atol=1e-5)


@pytest.mark.two_devices
def test_a_gradient_norm_of_rows_in_their_order_is_of_the_same_sample():
    problem = problems.least_squares(num_examples=600)
    data = jax.tree.map(lambda x: x[jnp.argsort(problem.data["y"])], problem.data)
    options = {"rule": jgd.sgd(0.01), "batch_size": 200, "epochs": 2, "shuffle": False}
    objective = jgd.objective(problem.loss)
    came, expected = (
        jgd.descend(objective, problem.params, d, **options) for d in (jgd.shard_rows(data)[0], data)
    )
    np.testing.assert_allclose(came.history.gradient_norm, expected.history.gradient_norm, rtol=1e-4)


@pytest.mark.two_devices
def test_params_of_a_wide_model_are_cut_and_their_memory_with_them():
    problem = problems.least_squares(num_examples=32)
    mesh = Mesh(np.array(jax.devices()[:2]).reshape(1, 2), ("rows", "columns"))
    laid, _ = jgd.shard_rows(problem.data, mesh)
    columns = NamedSharding(mesh, PartitionSpec("columns"))
    params = jax.device_put(problem.params, columns)
    options = {"rule": jgd.adam(0.1), "batch_size": 8, "epochs": 4, "key": jax.random.key(0)}
    objective = jgd.objective(problem.loss)
    start = jgd.descend(objective, params, laid, **{**options, "epochs": 0})
    assert start.state.rule_state.second.sharding == columns
    came = jgd.descend(objective, params, laid, **options)
    expected = jgd.descend(objective, problem.params, problem.data, **options)
    assert came.params.sharding.is_equivalent_to(columns, 1)
    np.testing.assert_allclose(came.params, expected.params, rtol=1e-5)


@pytest.mark.two_devices
@pytest.mark.parametrize("shape", [(2, 1), (1, 2)])
def test_lanes_and_rows_share_a_mesh(shape):
    problem = problems.least_squares(num_examples=32)
    space = jgd.grid(learning_rate=[0.001, 0.01, 0.02])
    mesh = jax.make_mesh(shape, ("lanes", "rows"), (AxisType.Auto,) * 2)

    def sweep(data, **options):
        def train(config):
            return jgd.descend(
                jgd.objective(problem.loss),
                problem.params,
                data,
                rule=jgd.sgd(config["learning_rate"]),
                batch_size=8,
                epochs=3,
                key=jax.random.key(0),
            )

        return jgd.sweep(train, space, **options).fits.history.loss

    expected = sweep(problem.data)
    laid, _ = jgd.shard_rows(problem.data, mesh)
    np.testing.assert_allclose(sweep(laid, mesh=mesh), expected, rtol=1e-5)
    np.testing.assert_allclose(sweep(laid, mesh=mesh, lanes=2), expected, rtol=1e-5)
    if shape == (1, 2):
        with pytest.raises(ValueError, match=r"train closes over an array .* laid over devices"):
            sweep(laid)


@pytest.mark.two_devices
def test_rows_that_do_not_divide_are_refused_or_filled_up():
    data = {"x": np.arange(7.0), "y": np.arange(7)}
    mesh = jax.make_mesh((2,), ("rows",))
    with pytest.raises(
        ValueError, match=r"7 rows, which do not divide among 2 devices: 1 are left over"
    ):
        jgd.shard_rows(data, mesh)
    laid, weights = jgd.shard_rows(data, mesh, fill=True)
    assert laid["x"].tolist() == [*range(7), 6]
    assert weights.tolist() == [1] * 7 + [0]
    value = jgd.value(jgd.objective(lambda p, e: (p - e["x"]) ** 2), jnp.array(0.0), laid, weights)
    assert float(value) == np.mean(np.arange(7.0) ** 2)
    _, weights = jgd.shard_rows(data, mesh, weights=np.arange(7) % 2, fill=True)
    assert weights.tolist() == [0, 1, 0, 1, 0, 1, 0, 0]


@pytest.mark.parametrize(
    ("data", "mesh", "message"),
    [
        pytest.param(
            *(np.zeros((1, 3)), None, r"1 row, but there are \d+ devices"),
            marks=pytest.mark.two_devices,
        ),
        (np.zeros(4), "rows", r"mesh is 'rows', but one with an axis"),
        (np.zeros(4), ("lanes", "columns"), r"mesh is Mesh.*but one with an axis"),
        ({"x": np.zeros(4), "y": np.zeros(3)}, None, r"has 4 examples and data\['y'\] has 3"),
        (np.zeros(0), None, r"0 examples"),
    ],
)
def test_nonsense_is_refused(data, mesh, message):
    if isinstance(mesh, tuple):
        mesh = jax.make_mesh((1, 1), mesh)
    with pytest.raises(ValueError, match=message):
        jgd.shard_rows(data, mesh)

"""The benchmark on accelerators, small; and what an accelerator computes, against the CPU.

Where JAX computes on a CPU, the tests of the second kind are skipped.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import jgd
from jgd.descent.order import example_at, order, position_of
from tests import cases
from tests.scripts import DOCS, EXPERIMENTS

FOLDER = EXPERIMENTS / "benchmarks"
# What `report.py` writes of no results, of one from a CPU, and where one more is from a GPU.
REPORT = """
import json, sys
import report
content = json.load(open(sys.argv[1]))
on_cpu, on_gpu = content | {"platform": "cpu"}, content | {"platform": "gpu"}
on_gpu["machine"] = content["machine"] | {"devices": ["Some GPU 9"]}
found = [], [{"1": on_cpu}], [{"1": on_cpu}, {"1": on_gpu}]
print(json.dumps([report.accelerators(results) for results in found]))
"""


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """The folder of a quick run and what it printed. A process of its own may set flags of XLA."""
    folder = tmp_path_factory.mktemp("results")
    return folder, run(FOLDER / "accelerator.py", "--quick", "--output", folder)


def run(*arguments: str | Path) -> str:
    # What is compiled runs once, and need not be fast.
    environment = os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, cwd=FOLDER, env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout


@pytest.mark.exhaustive
def test_a_quick_run_measures_all_of_it(quick):
    folder, printed = quick
    (path,) = folder.glob("accelerator-*-jax*.json")
    content = json.loads(path.read_text())
    by_work = {row["work"]: row["seconds"] for row in content["rows"]}
    wanted = {
        f"{variant}, {lanes}, {dtype}"
        for variant in ("stochastic", "mini-batch 32")
        for lanes in ("1 lane", "8 lanes")
        for dtype in ("float32", "bfloat16")
    }
    assert wanted < by_work.keys()
    for seconds in by_work.values():
        assert next(iter(seconds)) == "jgd"
        assert all(time > 0 for time in seconds.values())
    assert {"jgd", "jgd without vmap", "optax scan"} <= by_work["stochastic, 1 lane, float32"].keys()
    gradients = [by_work[work] for work in by_work.keys() - wanted]
    assert len(gradients) == 2
    assert all({"jax.grad", "sum of X", "negating X"} < seconds.keys() for seconds in gradients)
    assert [figure["unit"] for figure in content["figures"]].count("GB/s") == 4
    assert not [note for note in content["notes"] if "left out" in note]
    assert content["machine"]["devices"][0] == jax.devices()[0].device_kind
    assert content["platform"] == jax.default_backend()
    assert printed.startswith("No accelerator is here.") == (content["platform"] == "cpu")
    assert all(f"{work}: jgd " in printed for work in by_work)


@pytest.mark.exhaustive
def test_the_page_has_what_ran_on_accelerators_alone(quick):
    folder, printed = quick
    without, with_cpu, with_gpu = json.loads(run("-c", REPORT, next(folder.glob("*.json"))))
    assert "Not measured yet" in without
    assert with_cpu == without
    tables = [re.findall(r"^\| [^|]*, .* lanes?, .*\|$", text, re.M) for text in (printed, with_gpu)]
    assert len(tables[0]) == 8
    assert tables[0] == tables[1]
    assert f"| work |  | jax {jax.__version__}, Some GPU 9 | aim |" in with_gpu
    page = (DOCS / "benchmarks.md").read_text()
    assert page.count("\n## Accelerators\n") == 1
    assert page.endswith("\n\n" + without) or "Not measured yet" not in page


# On an accelerator


def on_both(function):
    """What a function without arguments makes on the accelerator, and what on the CPU, as NumPy."""
    results = []
    # Of two CPUs the last, so that where there is nothing else two devices are compared all the same.
    for device in (jax.devices()[0], jax.devices("cpu")[-1]):
        # By default the factors of a product have fewer digits on an accelerator.
        with jax.default_device(device), jax.default_matmul_precision("highest"):
            made = function()
            assert all(x.devices() == {device} for x in jax.tree.leaves(made))
            results.append(jax.device_get(made))
    return results


def numbers(fit):
    return fit.params, fit.status, fit.epochs, fit.history, fit.state.rule_state


def assert_close(came, wanted):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), came, wanted)


@pytest.mark.accelerator
@pytest.mark.parametrize("variant", cases.VARIANTS)
@pytest.mark.parametrize("rule", ["momentum", "adam"])
def test_descents_are_those_of_the_cpu(rule, variant):
    size = cases.VARIANTS[variant]

    def fit():
        batch_size = jnp.array(8) if variant == "traced" else size
        return numbers(cases.fit(cases.RULES[rule](0.1), batch_size))

    assert_close(*on_both(fit))


@pytest.mark.accelerator
@pytest.mark.parametrize("num_examples", [1, 2, 37, 1000, 65_537])
def test_the_order_is_that_of_the_cpu(num_examples):
    def orders():
        key, epochs = jax.random.key(7), jnp.array([0, 3, 2**31 - 1])
        found = jax.vmap(lambda epoch: order(key, epoch, num_examples))(epochs)
        places = jax.vmap(lambda epoch, x: position_of(key, epoch, x, num_examples))(epochs, found)
        return found, places, example_at(key, 1, jnp.arange(num_examples), num_examples)

    came, wanted = on_both(orders)
    jax.tree.map(np.testing.assert_array_equal, came, wanted)
    assert (came[1] == np.arange(num_examples)).all()


@pytest.mark.accelerator
@pytest.mark.parametrize("batch_size", [None, 1, 8])
def test_256_lanes_are_single_fits(batch_size):
    rates, rows = np.logspace(-3, -0.5, 256), cases.data()

    def train(config):
        return cases.fit(jgd.sgd(config["learning_rate"], momentum=0.5), batch_size, data=rows)

    with jax.default_matmul_precision("highest"):
        found = jgd.sweep(train, jgd.grid(learning_rate=rates))
        for place in (0, 1, 100, 255):
            assert_close(numbers(found.fit(place)), numbers(train(found.configs.config(place))))


@pytest.mark.accelerator
@pytest.mark.parametrize("batch_size", [None, 1, 8])
def test_data_of_bfloat16_are_their_numbers_in_float32(batch_size):
    rounded = {**cases.data(), "x": cases.data()["x"].astype(jnp.bfloat16)}
    same = {**rounded, "x": rounded["x"].astype(jnp.float32)}
    with jax.default_matmul_precision("highest"):
        came, wanted = (cases.fit(jgd.sgd(0.1), batch_size, data=d, epochs=20) for d in (rounded, same))
    assert came.params["weights"].dtype == jnp.float32
    assert came.history.loss[-1] < came.history.loss[0]
    assert_close(numbers(came), numbers(wanted))


@pytest.mark.accelerator
def test_a_certificate_closes_without_a_word_on_precision():
    """Products keep their 24 bits there by themselves: `jgd.xla.all_digits`."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 50)).astype(np.float32)
    y = (x @ rng.normal(size=50) + rng.logistic(size=2000) > 0).astype(int)
    strength = 0.01

    def loss(params, example):
        return jgd.losses.logistic(example["x"] @ params, example["y"])

    objective = jgd.objective(loss, jgd.penalties.l2(strength))
    with jax.default_matmul_precision("default"):  # conftest wants more there
        fit = jgd.descend(
            objective, jnp.zeros(50), {"x": x, "y": y}, rule=jgd.accelerated(), epochs=100,
            stop=jgd.stop.duality_gap(1e-5),
        )  # fmt: skip
    assert fit.status == jgd.Status.CONVERGED
    # jgd's mean of losses and its half of the squares, times N / strength.
    peer = LogisticRegression(C=1 / (strength * 2000), fit_intercept=False, tol=1e-10, max_iter=1000)
    np.testing.assert_allclose(fit.params, peer.fit(x, y).coef_[0], atol=0.02)
    wanted = jgd.value(objective, jnp.asarray(peer.coef_[0], jnp.float32), {"x": x, "y": y})
    assert jgd.value(objective, fit.params, {"x": x, "y": y}) - wanted < 2e-5

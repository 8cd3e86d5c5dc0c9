"""Two devices of the CPU for the whole suite, and what is skipped where the default one is another."""

import os

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 2)
# Where there is a GPU, all workers of pytest share it; by default the first would take most of it.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")


def pytest_addoption(parser):
    parser.addoption("--one-case", action="store_true", help="of each parametrized test the first case")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--one-case"):
        first = {item.nodeid.partition("[")[0]: item for item in reversed(items)}
        items[:] = [item for item in items if first[item.nodeid.partition("[")[0]] is item]
    on_cpu = jax.default_backend() == "cpu"
    if not on_cpu:
        # By default the factors of a product have fewer digits there than the tests ask for.
        jax.config.update("jax_default_matmul_precision", "highest")
    reasons = {
        "accelerator": on_cpu and "no accelerator here: jax.default_backend() is cpu",
        "cpu": not on_cpu and "about the program compiled for a CPU, not the default device here",
        "two_devices": jax.device_count() < 2 and "one device here, two are wanted",
    }
    for mark in filter(reasons.get, reasons):
        skip = pytest.mark.skip(reason=reasons[mark])
        for item in items:
            if item.get_closest_marker(mark):
                item.add_marker(skip)

"""Two devices for the whole suite: what is laid over devices is tested in the process of the tests."""

import jax

jax.config.update("jax_num_cpu_devices", 2)


def pytest_addoption(parser):
    parser.addoption("--one-case", action="store_true", help="of each parametrized test the first case")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--one-case"):
        first = {item.nodeid.partition("[")[0]: item for item in reversed(items)}
        items[:] = [item for item in items if first[item.nodeid.partition("[")[0]] is item]

"""Two devices for the whole suite: what is laid over devices is tested in the process of the tests."""

import jax

jax.config.update("jax_num_cpu_devices", 2)

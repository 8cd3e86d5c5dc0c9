"""The flag for older versions of jax, in processes of their own, for it must stand before JAX starts."""

import os
import subprocess
import sys

import jax
import pytest

OLD = tuple(int(part) for part in jax.__version__.split(".")[:2]) < (0, 12)
FOLDED = """
text = jax.jit(lambda w, x: jax.lax.scan(lambda w, r: (w - 0.1 * (r @ w) * r, None), w, x)[0]).lower(
    jnp.zeros(100), jnp.ones((5000, 100))).compile().as_text()
print("small_call" in text)
"""


def run(code: str, **environment: str) -> subprocess.CompletedProcess:
    code = "import jax, jax.numpy as jnp, jgd, os\n" + code
    inherited = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    return subprocess.run(
        [sys.executable, "-c", code], env=inherited | environment, capture_output=True, text=True
    )


@pytest.mark.cpu
def test_loops_are_folded_after_tune_xla():
    assert run("jgd.tune_xla()" + FOLDED).stdout.strip() == "True"


def test_import_sets_nothing():
    assert run("print(os.environ.get('XLA_FLAGS'))").stdout.strip() == "None"


def test_flags_of_the_user_are_kept():
    flags = "--xla_cpu_multi_thread_eigen=true"
    came = run(
        "jgd.tune_xla(); jgd.tune_xla(); print(os.environ['XLA_FLAGS']); jnp.ones(1)", XLA_FLAGS=flags
    )
    words = came.stdout.split()
    assert words[0] == flags
    assert len(words) == (2 if OLD else 1)


@pytest.mark.skipif(not OLD, reason="nothing is to be set from jax 0.12 on")
def test_too_late_is_said():
    came = run("jnp.ones(1) + 1; jgd.tune_xla()")
    assert came.returncode != 0
    assert "RuntimeError: jgd.tune_xla() comes too late" in came.stderr
    assert "XLA_FLAGS=--xla_backend_extra_options" in came.stderr


@pytest.mark.skipif(not OLD, reason="nothing is to be set from jax 0.12 on")
def test_a_file_of_flags_is_left_alone(tmp_path):
    path = tmp_path / "flags"
    path.write_text("--xla_cpu_multi_thread_eigen=true")
    came = run("jgd.tune_xla()", XLA_FLAGS=str(path))
    assert came.returncode != 0
    assert "RuntimeError: XLA_FLAGS names the file" in came.stderr

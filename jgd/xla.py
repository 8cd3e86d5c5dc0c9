"""Settings of XLA that jgd is faster with, and that must stand before JAX starts."""

import contextlib
import os

import jax

# Bytes that a loop may touch. From 400,000 on, loops with products of matrices are folded as well, whose
# code is then 5 to 50 times slower, and some do not compile.
_FOLD_LOOPS = "--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=100000"


def tune_xla() -> None:
    """Let XLA fold a scan of steps into one function on the CPU, with jax 0.10 and 0.11.

    There a loop is folded only where its data are tiny, and each operation of a step costs about
    50 ns of calling otherwise; stochastic descent is then about ten times slower. From jax 0.12 on
    such loops are folded, and this does nothing. It adds a flag to the environment variable
    `XLA_FLAGS`, which JAX reads when it first computes; so call it before, at the top of a script:

        import jgd
        jgd.tune_xla()

    or set the variable yourself, before Python starts:

        XLA_FLAGS=--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=100000

    Importing jgd never sets it. A threshold that is there already is kept.

    Raises:
      RuntimeError: JAX has started already, so that the flag would come too late, or `XLA_FLAGS`
        names a file, into which the flag has to be written.

    >>> tune_xla()  # doctest: +SKIP

    Source: measured with jax 0.10: a step with 20 features took 700 ns without and 90 with it.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if _version(jax.__version__) >= (0, 12) or "small_while_loop_byte_threshold" in flags:
        return
    if _has_started():
        raise RuntimeError(
            "jgd.tune_xla() comes too late: JAX has computed already, and reads XLA_FLAGS only once. "
            "Call it at the top of the script, before any array is made, or set the variable before "
            f"Python starts: XLA_FLAGS={_FOLD_LOOPS}"
        )
    if flags.strip() and not flags.strip().startswith("-"):
        raise RuntimeError(
            f"XLA_FLAGS names the file {flags.strip()!r}, from which XLA then takes all flags. Write "
            f"this one into it: {_FOLD_LOOPS}"
        )
    os.environ["XLA_FLAGS"] = f"{flags} {_FOLD_LOOPS}".strip()


def _version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")[:2]
    return int(major), int(minor)


def _has_started() -> bool:
    from jax._src import xla_bridge  # no public name says so

    return xla_bridge.backends_are_initialized()


def all_digits():
    """Context in which products of float32 keep its 24 bits, as they do on a CPU.

    Accelerators round the factors to 10 bits or fewer, with which neither a certificate closes nor a
    method for many digits finds them.
    """
    on_cpu = jax.default_backend() == "cpu"
    return contextlib.nullcontext() if on_cpu else jax.default_matmul_precision("highest")

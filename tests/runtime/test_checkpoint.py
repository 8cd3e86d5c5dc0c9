"""Checkpoints: what comes back is bit for bit what was saved, or a warning and the one before it.

Run as a script it is a process of the tests: python tests/runtime/test_checkpoint.py SCENE DIRECTORY
"""

import contextlib
import functools
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding
from jax.tree_util import Partial

import jgd
from jgd.runtime import checkpoint
from jgd.runtime.checkpoint import close, newest, open_checkpoints, save, wait
from jgd.runtime.structure import structure_of
from jgd.tree import Static

ROOT = Path(__file__).parents[2]
SECONDS = 120
OF_JAX = ("bool", "int8", "uint8", "int16", "int32", "uint32", "float16", "bfloat16", "float32")
OF_NUMPY = (*OF_JAX, "int64", "float64", "complex64", "complex128", "float8_e4m3fn")
with contextlib.suppress(ImportError):
    import orbax.checkpoint  # noqa: F401  that a test with a limit of time need not wait for it


class State(NamedTuple):
    params: Any
    memory: Any
    key: Any


def bits(rng, dtype, shape):
    """Any bits, so that there are NaNs of all kinds, -0.0 and denormals among them."""
    size = int(np.prod(shape))
    if dtype == "bool":
        return rng.random(shape) > 0.5
    return np.frombuffer(rng.bytes(size * jnp.dtype(dtype).itemsize), jnp.dtype(dtype)).reshape(shape)


def everything(seed):
    rng = np.random.default_rng(seed)
    params = {"w": jnp.asarray(rng.normal(size=(3, 2)), jnp.float32), "b": jnp.float32(rng.normal())}
    rule = optax.chain(optax.clip(1.0), jgd.adam(1e-3))
    memory = {
        "rule": rule.init(params),
        "jax": tuple(jnp.asarray(bits(rng, dtype, (2, 3))) for dtype in OF_JAX),
        "numpy": [bits(rng, dtype, shape) for dtype in OF_NUMPY for shape in [(), (4,), (0, 3)]],
        "nothing": (None, {}, ()),
        "a/b.c 'd'": jnp.zeros((2, 0)),
        "zeros": (jnp.zeros(7), -jnp.zeros(7)),
        "scalar": np.float64(rng.normal()),
    }
    keys = jax.random.key(seed), jax.random.split(jax.random.key(seed, impl="rbg"), (2, 3))
    return State(params, memory, (*keys, jax.random.split(keys[0], 2)[:0], jax.random.PRNGKey(seed)))


def small(seed):
    return {
        "w": np.random.default_rng(seed).normal(size=100).astype(np.float32),
        "key": jax.random.key(seed),
    }


def of_numpy(seed):
    return {"w": np.random.default_rng(seed).normal(size=1000)}


def raw(leaf):
    is_key = isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    numbers = np.asarray(jax.random.key_data(leaf) if is_key else leaf)
    return str(leaf.dtype), leaf.shape, numbers.tobytes()


def assert_same(came, expected):
    assert jax.tree.structure(came) == jax.tree.structure(expected)
    for ours, theirs in zip(jax.tree.leaves(came), jax.tree.leaves(expected), strict=True):
        assert raw(ours) == raw(theirs)
        assert isinstance(ours, jax.Array) == isinstance(theirs, jax.Array)


@pytest.fixture
def opened(tmp_path):
    """Open directories; they are closed at the end."""
    pytest.importorskip("orbax.checkpoint")
    all_of_them = []

    def open_one(directory=tmp_path / "run", **options):
        all_of_them.append(open_checkpoints(directory, **options))
        return all_of_them[-1]

    yield open_one
    for checkpoints in all_of_them:
        close(checkpoints)


@pytest.fixture
def two(opened, tmp_path):
    """A directory with the checkpoints 1 and 2."""
    checkpoints = opened(tmp_path / "run")
    save(checkpoints, 1, small(1), {"epochs": 10})
    save(checkpoints, 2, small(2), {"epochs": 20})
    wait(checkpoints)
    return tmp_path / "run"


def in_a_process(scene, directory):
    """What it writes to stdout and stderr."""
    script = [sys.executable, str(Path(__file__)), scene, str(directory)]
    devices = {"JAX_NUM_CPU_DEVICES": "8", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        script, cwd=ROOT, env=os.environ | devices, capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_it_comes_back_bit_for_bit(opened):
    tree = everything(1)
    about = {
        "epochs": 3,
        "loss": [1.5, float("inf")],
        "of": {"nothing": None},
        "structure": {"loss": "mse"},
    }
    checkpoints = opened()
    save(checkpoints, 7, tree, about)
    number, came, handed_back = newest(checkpoints, everything(2), {"structure": {"loss": "mse"}})
    assert number == 7
    assert handed_back == about
    assert_same(came, tree)
    assert all(x.flags.aligned for x in came.memory["numpy"])
    # The training goes on with it.
    rule = optax.chain(optax.clip(1.0), jgd.adam(1e-3))
    rule.update(came.params, came.memory["rule"], came.params)


def test_shapes_are_enough_to_restore(opened):
    tree = {"w": jnp.arange(3.0), "key": jax.random.split(jax.random.key(1, impl="rbg"), 2)}
    checkpoints = opened()
    save(checkpoints, 1, tree, {})
    assert_same(newest(checkpoints, jax.eval_shape(lambda: tree), {}).tree, tree)


def test_a_tree_without_numbers(opened):
    checkpoints = opened()
    save(checkpoints, 0, {"nothing": None}, {})
    assert newest(checkpoints, {"nothing": None}, {}) == (0, {"nothing": None}, {})


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 10006, 99990])
def test_pieces_are_not_small(opened, monkeypatch, size):
    """10007 bytes, a prime number, orbax would cut into as many pieces."""
    pieces = []
    checkpoints = opened()
    save_args = sys.modules["orbax.checkpoint"].SaveArgs

    def spied(chunk_byte_size):
        pieces.append(chunk_byte_size)
        return save_args(chunk_byte_size=chunk_byte_size)

    monkeypatch.setattr(sys.modules["orbax.checkpoint"], "SaveArgs", spied)
    monkeypatch.setattr(checkpoint, "PIECE", 4096)
    tree = np.random.default_rng(size).integers(0, 256, size, np.uint8)
    save(checkpoints, 1, tree, {})
    assert_same(newest(checkpoints, tree, {}).tree, tree)
    assert min(size + 1, 2048) <= pieces[0] <= 4096


def test_digits_are_kept_where_jax_would_cut_them_off(opened):
    checkpoints = opened()
    save(checkpoints, 1, np.float64(0.1), {})
    like = jax.ShapeDtypeStruct((), np.float64, sharding=SingleDeviceSharding(jax.devices()[0]))
    assert_same(newest(checkpoints, like, {}).tree, np.float64(0.1))


def test_the_newest_are_kept_and_an_empty_directory_holds_none(opened, tmp_path):
    checkpoints = opened(tmp_path / "a" / "b", keep=2)
    assert newest(checkpoints, small(0), {}) is None
    for number in (3, 4, 10, 11):
        save(checkpoints, number, small(number), {})
    wait(checkpoints)
    assert sorted(os.listdir(tmp_path / "a" / "b")) == ["10", "11"]
    close(checkpoints)
    again = opened(tmp_path / "a" / "b")
    came = newest(again, small(0), {})
    assert came.number == 11
    assert_same(came.tree, small(11))


def test_saved_arrays_may_be_donated_and_changed(opened):
    tree = {"jax": jnp.arange(1e5), "numpy": np.arange(1e5)}
    expected = jax.tree.map(lambda x: np.array(x), tree)
    checkpoints = opened()
    save(checkpoints, 1, tree, {})
    jax.jit(lambda x: -x, donate_argnums=0)(tree["jax"]).block_until_ready()
    tree["numpy"][:] = 0
    assert_same(newest(checkpoints, expected, {}).tree, expected)


def layouts():
    """Of two devices, of one of them, and of none."""
    mesh = Mesh(np.array(jax.devices()[:2]), ("rows",))
    on = functools.partial(NamedSharding, mesh)
    return {
        "rows": on(PartitionSpec("rows")),
        "everywhere": on(PartitionSpec()),
        "first": SingleDeviceSharding(jax.devices()[0]),
        "second": SingleDeviceSharding(jax.devices()[1]),
    }


@pytest.mark.two_devices
@pytest.mark.parametrize("saved", ["rows", "everywhere", "second"])
@pytest.mark.parametrize("wanted", ["rows", "everywhere", "first", "second"])
def test_another_layout(opened, saved, wanted):
    tree = {"x": jnp.arange(8.0).reshape(4, 2), "keys": jax.random.split(jax.random.key(1), 4)}
    sharding = layouts()[wanted]
    checkpoints = opened()
    save(checkpoints, 1, jax.device_put(tree, layouts()[saved]), {})
    like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)
    for of in (like, jax.device_put(tree, sharding)):
        came = newest(checkpoints, of, {}).tree
        assert_same(came, tree)
        assert all(x.sharding.is_equivalent_to(sharding, x.ndim) for x in jax.tree.leaves(came))


@pytest.mark.two_devices
def test_what_is_bound_to_no_device_stays_free(opened):
    tree = {"x": jnp.arange(8.0), "key": jax.random.key(1)}
    checkpoints = opened()
    save(checkpoints, 1, tree, {})
    for like in (tree, jax.eval_shape(lambda: tree)):
        came = newest(checkpoints, like, {}).tree
        assert not any(x.committed for x in jax.tree.leaves(came))


def laid_on(num, tree):
    sharding = NamedSharding(Mesh(np.array(jax.devices()[:num]), ("rows",)), PartitionSpec("rows"))
    return jax.device_put(tree, sharding)


def eight_devices(directory):
    """Saved on eight devices; what the tests have saved, on eight and four of them."""
    theirs = open_checkpoints(directory / "two")
    for num in (8, 4, 1):
        like = laid_on(num, np.zeros(16, np.float32))
        came = newest(theirs, like, {}).tree
        assert came.sharding == like.sharding
        assert_same(came, jnp.arange(16.0))
    ours = open_checkpoints(directory / "eight")
    save(ours, 1, laid_on(8, jnp.arange(16.0)), {})
    close(ours)
    print(json.dumps(structure_of(**parts())))


def parts():
    return {
        "objective": jgd.objective(linear, jgd.penalties.l2(0.1)),
        "rule": optax.chain(optax.clip(1.0), jgd.adam(1e-3)),
        "schedule": jgd.sgd(optax.cosine_decay_schedule(0.1, 10), momentum=0.9),
        "partial": Partial(linear, {"b": 1.0, "a": None}, Static({1: "x"}.get), 3),
        "method": jgd.accelerated(),
    }


def linear(params, example):
    return jgd.losses.squared_error(example["x"] @ params, example["y"])


@pytest.mark.two_devices
def test_eight_devices_four_two_and_one(opened, tmp_path):
    ours = opened(tmp_path / "two")
    save(ours, 1, laid_on(2, jnp.arange(16.0)), {})
    wait(ours)
    said, errors = in_a_process("eight_devices", tmp_path)
    assert errors == ""
    for num in (2, 1):
        like = laid_on(num, jnp.zeros(16))
        came = newest(opened(tmp_path / "eight"), like, {}).tree
        assert_same(came, jnp.arange(16.0))
        assert came.sharding == like.sharding
    # Another process has other addresses and other hashes.
    described = structure_of(**parts())
    assert json.loads(said.replace("__main__", linear.__module__)) == described
    assert "0x" not in said


DAMAGE = {
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "gone": lambda path: path.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_never_gives_wrong_numbers(two, tmp_path, opened, damage):
    files = [path.relative_to(two) for path in sorted((two / "2").rglob("*")) if path.is_file()]
    fell_back = []
    for i, file in enumerate(files):
        directory = tmp_path / str(i)
        shutil.copytree(two, directory)
        DAMAGE[damage](directory / file)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            came = newest(opened(directory), small(0), {})
        assert_same(came.tree, small(came.number))
        assert came.about == {"epochs": 10 * came.number}
        assert [str(directory / "2") in str(warning.message) for warning in caught] == [True] * (
            2 - came.number
        )
        fell_back += [str(file)] * (came.number == 1)
    assert "2/about/metadata" in fell_back
    assert len(fell_back) >= 4


@pytest.mark.parametrize("item", ["arrays", "about"])
def test_a_flipped_bit_is_found(opened, tmp_path, item):
    """Neither the disk tells of it nor orbax."""
    checkpoints = opened()
    for number in (1, 2):
        save(checkpoints, number, of_numpy(number), {"epochs": 10 * number})
    wait(checkpoints)
    written = {"arrays": of_numpy(2)["w"][5:9].tobytes(), "about": b'"epochs": 20'}[item]
    files = (path for path in (tmp_path / "run" / "2" / item).rglob("*") if path.is_file())
    (file,) = (path for path in files if written in path.read_bytes())
    content = bytearray(file.read_bytes())
    content[content.find(written) + len(written) - 1] ^= 1
    file.write_bytes(content)
    with pytest.warns(UserWarning, match="2 is damaged"):
        came = newest(checkpoints, of_numpy(0), {})
    assert_same(came.tree, of_numpy(1))


def test_a_damaged_one_makes_room_for_its_number(two, opened):
    (two / "2" / "about" / "metadata").unlink()
    checkpoints = opened(two, keep=2)
    with pytest.warns(UserWarning, match=r"2 is damaged .* The next save removes it"):
        assert newest(checkpoints, small(0), {}).number == 1
    save(checkpoints, 2, small(5), {})
    assert_same(newest(checkpoints, small(0), {}).tree, small(5))
    assert sorted(os.listdir(two)) == ["1", "2"]


def test_none_whole(two, opened):
    for number in (1, 2):
        (two / str(number) / "about" / "metadata").write_text('{"format": 1')
    checkpoints = opened(two)
    with (
        pytest.warns(UserWarning, match="damaged"),
        pytest.raises(ValueError, match=r"none .* is whole") as error,
    ):
        newest(checkpoints, small(0), {})
    assert str(two) in str(error.value)
    assert "another directory" in str(error.value)
    save(checkpoints, 3, small(3), {})
    wait(checkpoints)
    assert sorted(os.listdir(two)) == ["1", "2", "3"]


def test_what_is_no_checkpoint_is_passed_over(two, opened):
    shutil.copytree(two / "2", two / "3.orbax-checkpoint-tmp")
    shutil.copytree(two / "2", two / "4.orbax-checkpoint-tmp-1700000000")
    (two / "5").write_text("a file")
    (two / "notes").mkdir()
    checkpoints = opened(two)
    assert newest(checkpoints, small(0), {}).number == 2
    assert sorted(os.listdir(two)) == ["1", "2", "5", "notes"]
    save(checkpoints, 6, small(6), {})
    assert newest(checkpoints, small(0), {}).number == 6


def test_another_format(two, opened):
    about = two / "2" / "about" / "metadata"
    about.write_text(json.dumps({"format": checkpoint.FORMAT + 1, "jgd": "99.0"}))
    with pytest.raises(ValueError, match=r"format 2.* reads format 1.*Update jgd.*99\.0"):
        newest(opened(two), small(0), {})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"like": {"w": jnp.zeros(12), "key": jax.random.key(0)}},
            r"\['w'\] has shape \[10\] .* \[12\] here",
        ),
        ({"like": {"w": np.zeros(10), "key": jax.random.key(0)}}, "dtype float32 .* float64 here"),
        ({"like": {"w": jnp.zeros(10), "key": jax.random.PRNGKey(0)}}, "key threefry2x32 .* None here"),
        ({"like": {"w": jnp.zeros(10)}}, r"\['key'\] is in the checkpoint, but not here"),
        ({"like": {"w": jnp.zeros(10), "key": jax.random.key(0), "v": 1.0}}, r"\['v'\] is not in the"),
        ({"about": {"structure": {"loss": "a.mae", "rule": "sgd"}}}, r"loss is a\.mse .*, a\.mae here"),
        ({"about": {"structure": {"loss": "a.mse"}}}, "rule is sgd in the checkpoint, None here"),
    ],
)
def test_of_another_training(opened, change, message):
    tree = {"w": jnp.zeros(10), "key": jax.random.key(0)}
    about = {"structure": {"loss": "a.mse", "rule": "sgd"}}
    checkpoints = opened()
    save(checkpoints, 1, tree, about)
    assert newest(checkpoints, tree, {**about, "epochs": 3}).number == 1
    with pytest.raises(ValueError, match=message) as error:
        newest(checkpoints, **{"like": tree, "about": about, **change})
    assert "another directory" in str(error.value)


def test_paths_of_named_tuples_read_as_python(opened):
    checkpoints = opened()
    save(checkpoints, 1, State({"w": jnp.zeros(10)}, None, None), {})
    with pytest.raises(ValueError, match=r"training: params\['w'\] has shape"):
        newest(checkpoints, State({"w": jnp.zeros(12)}, None, None), {})


def test_bad_arguments(two, opened, tmp_path):
    checkpoints = opened(two)
    for number in (2, -1, 2**31, 1.5, True):
        with pytest.raises(ValueError, match=f"number is {number}, but "):
            save(checkpoints, number, small(0), {})
    with pytest.raises(ValueError, match="about holds what JSON does not know"):
        save(checkpoints, 3, small(0), {"loss": jnp.zeros(())})
    with pytest.raises(ValueError, match=r"\['name'\] has dtype <U1"):
        save(checkpoints, 3, {"name": "x"}, {})
    for keep in (0, 2.5, True, None):
        with pytest.raises(ValueError, match="keep is"):
            open_checkpoints(two, keep=keep)
    with pytest.raises(ValueError, match="directory is 3"):
        open_checkpoints(3)
    (tmp_path / "file").write_text("")
    for directory in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ValueError, match=r"directory is .* a folder that can be written"):
            open_checkpoints(directory)


def test_without_orbax(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "orbax.checkpoint", None)
    with pytest.raises(ImportError, match=r"pip install 'jgd\[checkpoint\]'"):
        open_checkpoints(tmp_path)


def test_a_folder_that_is_lost_ends_no_training(two, opened):
    checkpoints = opened(two)
    shutil.rmtree(two)
    two.write_text("a file is in its place")
    for number in (3, 4):
        with pytest.warns(
            UserWarning, match=r"could not be written .*NotADirectory.* the training goes on"
        ):
            save(checkpoints, number, small(number), {})
    two.unlink()
    save(checkpoints, 5, small(5), {})
    assert newest(checkpoints, small(0), {}).number == 5


def full_disk(directory):
    """Saves that fail in the background and at once, by a limit for the size of files."""
    checkpoints = open_checkpoints(directory, keep=2)
    for number in (1, 2, 3):
        save(checkpoints, number, small(number), {})
    wait(checkpoints)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    number = 3
    for limit in (500, 200, 0):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        for _ in range(2):
            number += 1
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                save(checkpoints, number, small(number), {})
                wait(checkpoints)
            (said,) = {str(warning.message) for warning in caught}
            assert "\n" not in said
            assert all(x in said for x in (str(directory), "File too large", "one is 3", "goes on")), (
                said
            )
            there = set(os.listdir(directory))
            assert {name for name in there if name.isdecimal()} == {"2", "3"}
            assert len(there) <= 2 + 2  # threads of what failed last may still write a file
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    for number in (20, 21):
        save(checkpoints, number, small(number), {})
    close(checkpoints)
    assert sorted(os.listdir(directory)) == ["20", "21"]
    again = open_checkpoints(directory, keep=2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    warnings.simplefilter("ignore")
    save(again, 22, small(22), {})
    close(again)
    assert sorted(os.listdir(directory)) == ["20", "21"]


def test_a_full_disk_ends_no_training(opened, tmp_path):
    assert in_a_process("full_disk", tmp_path) == ("", "")
    assert_same(newest(opened(tmp_path), small(0), {}).tree, small(21))


def killed(directory):
    """Three processes that save all the time, killed at any moment after their first checkpoint."""
    rng = np.random.default_rng(5)
    for place in range(3):
        folder = directory / str(place)
        child = os.fork()  # nothing of JAX has run yet
        if not child:
            save_for_ever(folder)
        deadline = time.monotonic() + SECONDS / 4
        while not (folder / "1").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 0.3))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def save_for_ever(folder):
    checkpoints = open_checkpoints(folder, keep=2)
    for number in range(1, 10**6):
        save(checkpoints, number, of_numpy(number), {"number": number})


def test_killed_in_the_middle(opened, tmp_path):
    in_a_process("killed", tmp_path)
    for place in range(3):
        checkpoints = opened(tmp_path / str(place))
        came = newest(checkpoints, of_numpy(0), {})
        assert came.about == {"number": came.number}
        assert_same(came.tree, of_numpy(came.number))
        assert all(name.isdecimal() for name in os.listdir(tmp_path / str(place)))
        save(checkpoints, came.number + 1, of_numpy(0), {})
        assert newest(checkpoints, of_numpy(0), {}).number == came.number + 1


def outer(inner, number):
    def enclosing(x):
        return inner(x) * number

    return enclosing


def test_structure_tells_functions_and_not_numbers():
    rates = [jgd.sgd(rate, momentum=0.9) for rate in (0.1, jnp.float32(0.2), np.float64(0.3))]
    assert len({structure_of(rule=rule)["rule"] for rule in rates}) == 1
    assert structure_of(rule=jgd.sgd(0.1)) != structure_of(rule=rates[0])
    assert structure_of(rule=jgd.sgd(0.1, momentum=0.9, nesterov=True)) != structure_of(rule=rates[0])
    chains = [
        optax.chain(optax.clip(rate), rule(rate)) for rate in (0.1, 1.0) for rule in (jgd.adam, jgd.sgd)
    ]
    told = [structure_of(rule=rule)["rule"] for rule in chains]
    assert told[:2] == told[2:]
    assert told[0] != told[1]
    assert all(part in told[0] for part in ("chain", "clip", "_update_adam"))
    assert structure_of(batch_size=32, shuffle=True, stop=None, name="x") == {
        "batch_size": "32",
        "shuffle": "True",
        "stop": "None",
        "name": "x",
    }
    assert structure_of(x=Static(0.5), y=0.5, z=np.int64(3)) == {"x": "0.5", "y": "number", "z": "3"}


def test_structure_tells_what_is_bound_and_enclosed():
    name = f"{__name__}.linear"
    assert structure_of(loss=linear)["loss"] == name
    assert structure_of(loss=jax.jit(linear))["loss"] == name
    assert structure_of(loss=functools.partial(linear, 0.1, k=3))["loss"] == f"{name}(number, k=3)"
    assert structure_of(loss=Partial(outer(linear, 2.0)))["loss"].endswith(f"enclosing[{name}]")
    assert structure_of(loss=jax.jit(outer(linear, 2.0)))["loss"].endswith(f"enclosing[{name}]")
    objective = structure_of(objective=jgd.objective(linear, jgd.penalties.l2(0.1)))["objective"]
    assert name in objective
    assert "_l2_value(number, True)" in objective
    rule = jgd.sgd(optax.constant_schedule(0.1), momentum=0.9)  # its dict is not in order, JAX sorts it
    assert structure_of(rule=jax.tree.map(lambda x: x, rule)) == structure_of(rule=rule)


def test_structure_of_what_encloses_itself():
    def again(x):
        return again(x)

    assert structure_of(loss=again)["loss"].endswith("again[...]")


if __name__ == "__main__":
    {"eight_devices": eight_devices, "full_disk": full_disk, "killed": killed}[sys.argv[1]](
        Path(sys.argv[2])
    )

"""Descent over blocks: the steps of optax in the order of the blocks, exact resume, faults told of."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jgd
from jgd.runtime.feed import OF_BLOCKS
from jgd.runtime.stream import stream
from tests import problems

PROBLEM = problems.least_squares(num_examples=50)
DATA = jax.tree.map(np.asarray, PROBLEM.data)
OBJECTIVE = jgd.objective(PROBLEM.loss)
BLOCKS = jgd.blocks.arrays(DATA, rows=16)  # 16, 16, 16 and 2
KEY = jax.random.key(5)
EPOCHS = 3


def fit(blocks=BLOCKS, objective=OBJECTIVE, rule=None, **options):
    options = {"batch_size": 8, "epochs": EPOCHS, "key": KEY, **options}
    return jgd.descend_stream(objective, PROBLEM.params, blocks, rule=rule or jgd.adam(0.05), **options)


def descend(data=PROBLEM.data, rule=None, **options):
    options = {"batch_size": 8, "epochs": EPOCHS, "key": KEY, **options}
    return jgd.descend(OBJECTIVE, PROBLEM.params, data, rule=rule or jgd.adam(0.05), **options)


def by_hand(batch_size, shuffle=True, weights=None):
    """The steps of optax, one by one, in the order that the keys give."""
    rule = optax.adam(0.05)
    params, memory = PROBLEM.params, rule.init(PROBLEM.params)

    def mean_loss(params, rows, w):
        return jnp.sum(w * jax.vmap(PROBLEM.loss, (None, 0))(params, rows)) / np.sum(w != 0)

    gradient = jax.grad(mean_loss)
    for epoch in range(EPOCHS):
        numbers = np.arange(4)
        if shuffle:
            numbers = np.asarray(jgd.order(jax.random.fold_in(KEY, OF_BLOCKS), epoch, 4))
        for number in numbers:
            rows = np.arange(50)[number * 16 : number * 16 + 16]
            if shuffle:
                rows = rows[jgd.order(jax.random.fold_in(KEY, int(number) + 1), epoch, len(rows))]
            for start in range(0, len(rows), batch_size):
                batch = rows[start : start + batch_size]
                w = np.ones(len(batch)) if weights is None else weights[batch]
                if not w.any():
                    continue
                grads = gradient(params, jax.tree.map(lambda x, b=batch: x[b], DATA), w)
                updates, memory = rule.update(grads, memory)
                params = optax.apply_updates(params, updates)
    return params


@pytest.mark.parametrize("batch_size", [1, 5, 16])
def test_steps_are_those_of_optax(batch_size):
    np.testing.assert_allclose(fit(batch_size=batch_size).params, by_hand(batch_size), rtol=2e-5)


def test_as_the_blocks_lie_and_with_weights():
    weights = np.random.default_rng(0).choice([0.0, 1.0, 3.0], 50)
    came = fit(weights=weights, shuffle=False, key=None)
    np.testing.assert_allclose(came.params, by_hand(8, False, weights), rtol=2e-5, atol=1e-5)


def test_batch_descent_makes_one_step_of_all_blocks():
    came, expected = (run(batch_size=None, rule=jgd.sgd(0.1), key=None) for run in (fit, descend))
    np.testing.assert_allclose(came.params, expected.params, rtol=1e-5)
    np.testing.assert_allclose(came.history.loss, expected.history.loss, rtol=1e-5)
    np.testing.assert_allclose(came.history.gradient_norm, expected.history.gradient_norm, rtol=1e-5)


def test_one_block_is_a_descent_with_its_key():
    def noisy(params, example, key):
        return PROBLEM.loss(params, example) + jax.random.normal(key) * params[0]

    objective = jgd.objective(noisy, jgd.penalties.l1(0.01), random=True)
    came = fit(jgd.blocks.arrays(DATA), objective)
    options = {"rule": jgd.adam(0.05), "batch_size": 8, "epochs": EPOCHS}
    key = jax.random.fold_in(KEY, 1)
    expected = jgd.descend(objective, PROBLEM.params, PROBLEM.data, key=key, **options)
    np.testing.assert_allclose(came.params, expected.params, rtol=1e-5)
    np.testing.assert_allclose(came.history.loss, expected.history.loss, rtol=1e-5)


@pytest.mark.parametrize("batch_size", [None, 8])
def test_it_goes_on_from_the_middle_of_an_epoch_bit_for_bit(batch_size):
    expected = fit(batch_size=batch_size)
    options = {"rule": jgd.adam(0.05), "batch_size": batch_size, "key": KEY, "epochs": EPOCHS}
    parts = list(stream(OBJECTIVE, PROBLEM.params, BLOCKS, **options))
    assert [int(part.state.passed.blocks) for part in parts] == [0, *[1, 2, 3, 0] * EPOCHS]
    for part in parts[:-1]:
        left = EPOCHS - int(part.state.epoch)
        rest = fit(batch_size=batch_size, epochs=left, state=part.state)
        jax.tree.map(np.testing.assert_array_equal, rest.params, expected.params)
        np.testing.assert_array_equal(rest.history.loss, expected.history.loss[EPOCHS - left :])


def test_batches_of_a_loader_come_in_their_own_order():
    batches = [jax.tree.map(lambda x, i=i: x[i : i + 8], DATA) for i in range(0, 50, 8)]
    came = fit(jgd.blocks.iterate(batches), shuffle=False)
    np.testing.assert_allclose(came.params, descend(shuffle=False).params, rtol=1e-5)
    again = fit(jgd.blocks.iterate(lambda epoch: iter(batches)), shuffle=False)
    np.testing.assert_array_equal(again.params, came.params)
    once = fit(jgd.blocks.iterate(iter(batches)), shuffle=False, epochs=1)
    assert once.epochs == 1
    with pytest.raises(jgd.StreamError, match="iterator, which ended") as caught:
        fit(jgd.blocks.iterate(iter(batches)), shuffle=False)
    np.testing.assert_array_equal(caught.value.fit.params, once.params)


@pytest.mark.two_devices
def test_blocks_are_laid_over_devices():
    mesh = jax.make_mesh((2,), ("rows",))
    blocks = jgd.blocks.arrays(jax.tree.map(lambda x: x[:47], DATA), rows=16)  # the last one has 15
    weights = np.random.default_rng(0).choice([0.0, 1.0, 3.0], 47)
    options = {"weights": weights, "rule": jgd.sgd(0.01)}
    came, expected = fit(blocks, mesh=mesh, **options), fit(blocks, **options)
    np.testing.assert_allclose(came.history.loss, expected.history.loss, rtol=1e-5)


def evaluate(params, validation):
    return {"error": jnp.mean(jnp.square(validation["x"] @ params - validation["y"]))}


def test_stop_tests_and_evaluations_are_those_of_descend():
    options = {"evaluate": evaluate, "validation": PROBLEM.data, "epochs": 40, "rule": jgd.sgd(0.05)}
    stop = jgd.stop.validation(3, score=lambda evaluation: -evaluation["error"])
    came = fit(stop=stop, **options)
    assert came.epochs < 40
    assert came.status == jgd.Status.STALLED
    assert came.history.loss.shape == came.history.evaluation["error"].shape == (40,)
    errors = came.history.evaluation["error"][: came.epochs]
    np.testing.assert_allclose(evaluate(came.params, PROBLEM.data)["error"], errors.min(), rtol=1e-6)
    stop = jgd.stop.gradient_norm(1.0)
    came, expected = (
        run(stop=stop, batch_size=None, rule=jgd.sgd(0.1), epochs=40) for run in (fit, descend)
    )
    assert came.status == expected.status == jgd.Status.CONVERGED
    assert came.epochs == expected.epochs


def test_what_diverges_keeps_the_params_of_the_last_finite_block():
    came = fit(rule=jgd.sgd(1e20), epochs=2)
    assert came.status == jgd.Status.DIVERGED
    assert np.isfinite(came.params).all()
    assert "DIVERGED" in jgd.explain(came)
    assert came.epochs == 1


def test_nan_in_a_row_is_named_and_nothing_is_lost(tmp_path):
    x = DATA["x"].copy()
    x[37, 2] = np.nan
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", DATA["y"])
    blocks = jgd.blocks.npy({"x": tmp_path / "x.npy", "y": tmp_path / "y.npy"}, rows=16)
    with pytest.raises(jgd.StreamError, match=r"x\.npy.*row 37 holds NaN or infinity") as caught:
        fit(blocks, shuffle=False, key=None)
    so_far = caught.value.fit
    assert np.isfinite(so_far.params).all()
    assert so_far.state.passed.blocks == 2
    weights = np.where(np.arange(50) == 37, 0, 1)
    assert np.isfinite(fit(blocks, weights=weights).history.loss).all()
    x[40, 0] = np.inf
    np.save(tmp_path / "x.npy", x)
    with pytest.raises(jgd.StreamError, match="row 40 holds NaN or infinity"):
        fit(blocks, weights=weights)


def test_a_file_that_shrinks_ends_it_with_the_fit_so_far(tmp_path):
    np.save(tmp_path / "y.npy", np.arange(50, dtype=np.float32))
    blocks = jgd.blocks.npy(tmp_path / "y.npy", rows=10)
    objective = jgd.objective(lambda p, y: jnp.square(p - y))
    parts = stream(objective, jnp.array(0.0), blocks, rule=jgd.sgd(0.1), epochs=2, shuffle=False)
    next(parts), next(parts)
    np.save(tmp_path / "y.npy", np.arange(12, dtype=np.float32))
    with pytest.raises(jgd.StreamError, match=r"y\.npy"):
        list(parts)


def test_ctrl_c_ends_it_after_the_block_with_what_is_done(monkeypatch):
    read, asked = BLOCKS.read, []

    def interrupted(first, last):
        asked.append(first)
        if len(asked) == 7:
            raise KeyboardInterrupt
        return read(first, last)

    with pytest.warns(UserWarning, match="ran 1 of 3 epochs"):
        came = fit(BLOCKS._replace(read=interrupted))
    assert (int(came.state.epoch), int(came.state.passed.blocks)) == (1, 1)
    assert np.isfinite(came.history.loss).tolist() == [True, False, False]
    rest = fit(epochs=EPOCHS - 1, state=came.state)
    np.testing.assert_array_equal(rest.params, fit().params)


def test_a_block_in_which_nothing_counts_makes_no_step():
    weights = np.r_[np.ones(16), np.zeros(16), np.ones(18)]
    for seed in range(3):
        came = fit(weights=weights, key=jax.random.key(seed))
        assert np.isfinite(came.history.loss).all()


def test_what_a_loader_raises_loses_nothing():
    def loader(epoch):
        yield DATA
        if epoch == 2:
            raise RuntimeError("a worker died")

    with pytest.raises(jgd.StreamError, match="RuntimeError: a worker died") as caught:
        fit(jgd.blocks.iterate(loader))
    assert caught.value.fit.epochs == 2


def test_a_loader_that_has_become_shorter_is_told_of():
    batches = [DATA, DATA, DATA]
    options = {"rule": jgd.adam(0.05), "batch_size": 8, "key": KEY, "epochs": 1}
    parts = list(stream(OBJECTIVE, PROBLEM.params, jgd.blocks.iterate(batches), **options))
    with pytest.raises(ValueError, match="blocks end before block 2 of epoch 0"):
        fit(jgd.blocks.iterate(batches[:2]), state=parts[2].state)


def test_labels_of_every_block_are_looked_at():
    objective = jgd.objective(lambda p, e: jgd.losses.logistic(e["x"] @ p, e["y"]))
    labels = np.where(np.arange(50) < 40, 0, 2)
    blocks = jgd.blocks.arrays({**DATA, "y": labels}, rows=16)
    with pytest.raises(jgd.StreamError, match="labels run from"):
        fit(blocks, objective, shuffle=False)


def test_a_block_of_another_width_is_named():
    batches = [DATA, {"x": DATA["x"][:, :3], "y": DATA["y"]}]
    with pytest.raises(jgd.StreamError, match=r"block 1\['x'\] has rows of float32\[3\]"):
        fit(jgd.blocks.iterate(batches))


@pytest.mark.two_devices
def test_blocks_that_do_not_divide_among_devices_are_refused():
    mesh = jax.make_mesh((2,), ("rows",), devices=jax.devices()[:2])
    with pytest.raises(ValueError, match=r"blocks have 15 rows each, which do not divide among the 2"):
        fit(jgd.blocks.arrays(DATA, rows=15), mesh=mesh)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blocks": DATA}, r"blocks is dict, but a source of blocks is wanted"),
        ({"batch_size": 17}, r"batch_size is 17, but a block has 16 rows"),
        ({"batch_size": jnp.array(8)}, r"batch_size is .* but an int >= 1"),
        ({"batch_size": 0}, r"batch_size is 0"),
        ({"epochs": -1}, r"epochs is -1"),
        ({"key": None}, r"key is None"),
        ({"key": 7}, r"key is 7"),
        ({"rule": jgd.accelerated()}, r"method for convex problems"),
        ({"rule": jgd.armijo(), "batch_size": None}, r"rows of all blocks are not at hand"),
        ({"weights": np.ones(49)}, r"weights have shape \(49,\)"),
        ({"evaluate": evaluate}, r"validation is None"),
        ({"stop": jgd.stop.gradient_norm(1e-3)}, r"block by block"),
        ({"stop": jgd.stop.duality_gap(1e-3), "batch_size": None}, r"block by block"),
        ({"state": descend().state}, r"state is State"),
        ({"state": fit(batch_size=None).state}, r"state is of a batch descent"),
        ({"mesh": 3}, r"mesh is 3"),
        ({"weights": np.zeros(50)}, r"weights are all 0"),
        ({"weights": np.full(50, "1")}, r"weights have dtype"),
        ({"objective": PROBLEM.loss}, r"objective is"),
    ],
)
def test_bad_input_is_said(options, message):
    with pytest.raises(ValueError, match=message):
        fit(**options)

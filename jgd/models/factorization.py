"""Matrix factorization, of users by items: what recommender systems learn from ratings."""

import jax
import jax.numpy as jnp

from jgd.models.model import Model
from jgd.models.sizes import check_sizes
from jgd.models.table import are_known, as_ids, rows_at
from jgd.tree import is_whole


def _init(key, users, items, rank=8, *, scale=0.1):
    """Parameters of `mean + user_bias[u] + item_bias[i] + users[u] @ items[i]`.

    A step of descent moves the whole table, of which a batch sees a few rows: take batches of some
    hundreds.

    Args:
      key: PRNG key.
      users: U, number of users; they are numbered 0 to U - 1.
      items: I, number of items.
      rank: R, numbers that describe a user or an item; 0 leaves the biases alone.
      scale: standard deviation of these at the start. From 0 they would never move.

    Returns:
      `{"mean": [], "user_bias": [U], "item_bias": [I], "users": [U, R], "items": [I, R]}`. To begin
      with the mean of the ratings saves the first epochs: `{**params, "mean": ratings.mean()}`.

    Raises:
      ValueError: a number is not a whole one >= 1; the rank is below 0.

    >>> params = factorization.init(jax.random.key(0), 5, 3, rank=2)
    >>> params["users"].shape, params["item_bias"].shape
    ((5, 2), (3,))

    Source: Koren, Bell and Volinsky (2009), Computer 42(8), eq. 4.
    """
    check_sizes("factorization.init", (users, items))
    if not is_whole(rank) or rank < 0:
        raise ValueError(f"factorization.init: rank is {rank!r}, but a whole number >= 0 is wanted.")
    users_key, items_key = jax.random.split(key)
    return {
        "mean": jnp.zeros(()),
        "user_bias": jnp.zeros(users),
        "item_bias": jnp.zeros(items),
        "users": scale * jax.random.normal(users_key, (users, rank)),
        "items": scale * jax.random.normal(items_key, (items, rank)),
    }


def _predict(params, pair):
    """Prediction for one user and one item.

    A user or an item outside of the table has no bias and no factors: what is known of the other is
    the prediction, and of two unknown ones the mean. `models.unknown` counts them.

    Args:
      params: from `factorization.init`.
      pair: user and item, integers: a tuple of two scalars, or [2].

    Returns:
      A scalar.

    Raises:
      ValueError: the pair is not of two scalars; the ids are not whole numbers.

    >>> params = {"mean": jnp.array(3.0), "user_bias": jnp.array([0.5]), "item_bias": jnp.array([-1.0]),
    ...           "users": jnp.array([[1.0, 2.0]]), "items": jnp.array([[0.5, 0.25]])}
    >>> float(factorization.predict(params, (0, 0))), float(factorization.predict(params, (0, 7)))
    (3.5, 3.5)

    Source: Koren, Bell and Volinsky (2009), Computer 42(8), eq. 4.
    """
    user, item = _checked_pair(pair)
    bias = rows_at(params["user_bias"], user) + rows_at(params["item_bias"], item)
    both = rows_at(params["users"], user) @ rows_at(params["items"], item)
    return params["mean"] + bias + both


def unknown(params, pairs):
    """Which users and items of `pairs` are not in the tables of a factorization: predictions lack them.

    Args:
      params: from `factorization.init`.
      pairs: users and items, integers: a tuple of [N] and [N], or [N, 2].

    Returns:
      Two bool arrays [N]: unknown users, unknown items. Their sums count them.

    Raises:
      ValueError: the pairs are of another shape; the ids are not whole numbers.

    >>> params = factorization.init(jax.random.key(0), 5, 3)
    >>> users, items = unknown(params, jnp.array([[0, 0], [4, 3], [5, -1]]))
    >>> int(users.sum()), int(items.sum())
    (1, 2)
    """
    parts = tuple(map(as_ids, pairs if isinstance(pairs, tuple) else (pairs,)))
    shapes = [part.shape for part in parts]
    if len(parts) == 1 and parts[0].ndim == 2 and shapes[0][1] == 2:
        users, items = parts[0].T
    elif len(parts) == 2 and parts[0].ndim == 1 and shapes[0] == shapes[1]:
        users, items = parts
    else:
        raise ValueError(
            f"pairs have the shape {', '.join(map(str, shapes))}, but users and items are wanted: "
            "(users [N], items [N]) or [N, 2]."
        )
    tables = params["user_bias"], params["item_bias"]
    return tuple(~are_known(ids, len(bias)) for ids, bias in zip((users, items), tables, strict=True))


def _checked_pair(pair):
    parts = tuple(map(as_ids, pair if isinstance(pair, tuple) else (pair,)))
    shapes = tuple(part.shape for part in parts)
    if shapes not in (((2,),), ((), ())):
        raise ValueError(
            f"pair has the shape {', '.join(map(str, shapes))}, but one user and one item are wanted: "
            "(user, item) or [2]. For a batch map over it: "
            "jax.vmap(factorization.predict, in_axes=(None, 0))(params, pairs)."
        )
    return parts if len(parts) == 2 else (parts[0][0], parts[0][1])


factorization = Model(_init, _predict)

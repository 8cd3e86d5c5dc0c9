"""A model of text: the mean of the embeddings of its tokens, then dense layers."""

import jax
import jax.numpy as jnp

from jgd.models.mlp import mlp
from jgd.models.model import Model
from jgd.models.sizes import check_several, check_sizes
from jgd.models.table import are_known, as_ids, rows_at


def _init(key, vocabulary, outputs=None, *, width=16, units=(), initializer=None):
    """Parameters of a mean of embeddings, followed by a linear layer or a network.

    A step of descent moves the whole table of embeddings, of which a batch sees a few rows: batches of
    32 or more are far quicker than single texts.

    Args:
      key: PRNG key.
      vocabulary: V, number of tokens: of words (`len(statistics.words)` of `features.tokenize`) or
        of buckets (`features.hashing`).
      outputs: number of outputs, e.g. classes; None predicts a scalar.
      width: numbers in the embedding of a token.
      units: of hidden layers between embedding and outputs; () for none.
      initializer: `(key, shape) -> weights` of the dense layers; He's normal one if None.

    Returns:
      `{"embedding": [V, width], "dense": params of `models.mlp`}`.

    Raises:
      ValueError: a size is not a whole number >= 1.

    >>> params = text.init(jax.random.key(0), 1000, 3, width=4)
    >>> params["embedding"].shape, params["dense"]["layer_1"]["weights"].shape
    ((1000, 4), (4, 3))

    Source: Joulin, Grave, Bojanowski and Mikolov (2017), Bag of Tricks for Efficient Text
    Classification, EACL.
    """
    check_sizes("text.init", (vocabulary, width))
    check_several("text.init: units", units)
    embedding_key, dense_key = jax.random.split(key)
    return {
        "embedding": jax.random.normal(embedding_key, (vocabulary, width)),
        "dense": mlp.init(dense_key, (width, *units, outputs), initializer=initializer),
    }


def _predict(params, tokens, activation=jax.nn.relu, *, dropout=None, key=None):
    """Prediction for one text: `mlp(mean over its tokens of embedding[token])`.

    Args:
      params: from `text.init`.
      tokens: [L], integers. Those outside of 0 to V - 1, such as the -1 that fills up short texts,
        are left out; a text without tokens has an embedding of 0.
      activation: applied after every hidden layer.
      dropout: rate at which hidden numbers are left out, where a key is given.
      key: PRNG key of the visit, from a random objective; None predicts without dropout.

    Returns:
      [outputs], or a scalar if outputs was None.

    Raises:
      ValueError: the tokens are not [L], or not whole numbers.

    >>> params = text.init(jax.random.key(0), 1000, 3)
    >>> text.predict(params, jnp.array([5, 999, -1, -1])).shape
    (3,)

    Source: Joulin, Grave, Bojanowski and Mikolov (2017), Bag of Tricks for Efficient Text
    Classification, EACL.
    """
    tokens = as_ids(tokens)
    if tokens.ndim != 1:
        raise ValueError(
            f"tokens have shape {tokens.shape}, but the tokens [L] of one text are wanted. For a "
            "batch map over it: jax.vmap(text.predict, in_axes=(None, 0))(params, tokens)."
        )
    embedding = params["embedding"]
    num_tokens = jnp.sum(are_known(tokens, len(embedding)))
    mean = jnp.sum(rows_at(embedding, tokens), axis=0) / jnp.maximum(num_tokens, 1)
    return mlp.predict(params["dense"], mean, activation, dropout=dropout, key=key)


text = Model(_init, _predict)

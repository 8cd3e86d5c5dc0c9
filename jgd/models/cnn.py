"""The convolutional network: convolutions with pooling between them, then dense layers."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jgd.models.dropout import dropout as drop
from jgd.models.mlp import mlp
from jgd.models.model import Model
from jgd.models.sizes import check_several, check_sizes


def _init(key, shape, outputs=None, *, channels=(16, 32), units=(64,), kernel=3, initializer=None):
    """Parameters of a convolutional network.

    Every convolution keeps height and width, and the pooling after it halves both, rounded down.

    Args:
      key: PRNG key.
      shape: of an image: (height, width), or (height, width, colours).
      outputs: number of outputs, e.g. classes; None predicts a scalar.
      channels: of the convolutions, one after the other.
      units: of the dense layers between the last pooling and the outputs; () for none.
      kernel: height and width of the convolutions.
      initializer: `(key, shape) -> weights`, from `jax.nn.initializers`; He's normal one if None.

    Returns:
      `{"convolution_1": {"weights": [kernel, kernel, colours, channels], "bias": [channels]}, ...,
      "dense": params of `models.mlp`}`; biases are 0.

    Raises:
      ValueError: a size is not a whole number >= 1; the image is too small to be halved so often.

    >>> params = cnn.init(jax.random.key(0), (8, 8), 10, channels=(4, 6), units=())
    >>> params["convolution_2"]["weights"].shape, params["dense"]["layer_1"]["weights"].shape
    ((3, 3, 4, 6), (24, 10))

    Source: LeCun, Bottou, Bengio and Haffner (1998), Proc. IEEE 86(11); He et al. (2015), eq. 10.
    """
    if not isinstance(shape, Sequence) or len(shape) not in (2, 3):
        raise ValueError(
            f"cnn.init: shape is {shape!r}, but (height, width) or (height, width, colours) is wanted, "
            "e.g. (28, 28)."
        )
    check_several("cnn.init: channels", channels)
    check_several("cnn.init: units", units)
    height, width, colours = (*shape, 1)[:3]
    check_sizes("cnn.init", (height, width, colours, *channels, kernel))
    halvings = 2 ** len(channels)
    if min(height, width) < halvings:
        raise ValueError(
            f"cnn.init: shape is {tuple(shape)}, too small to be halved for each of {len(channels)} "
            f"channels. Take fewer channels, or images of {halvings} x {halvings} at least."
        )
    initializer = initializer or jax.nn.initializers.he_normal()
    *keys, dense_key = jax.random.split(key, len(channels) + 1)
    params = {}
    for layer, (into, out) in enumerate(zip((colours, *channels), channels, strict=False), start=1):
        params[f"convolution_{layer}"] = {
            "weights": initializer(keys[layer - 1], (kernel, kernel, into, out)),
            "bias": jnp.zeros(out),
        }
    last = channels[-1] if channels else colours
    sizes = ((height // halvings) * (width // halvings) * last, *units, outputs)
    return {**params, "dense": mlp.init(dense_key, sizes, initializer=initializer)}


def _predict(params, image, activation=jax.nn.relu, *, dropout=None, key=None):
    """Prediction for one image.

    For many images take blocks, which bounds the memory: `jax.lax.map(lambda image: cnn.predict(params,
    image), images, batch_size=500)`.

    Args:
      params: from `cnn.init`.
      image: [height, width] or [height, width, colours]. Whole numbers become floats as they are:
        bring bytes to 0..1 by a division by 255.
      activation: applied after every layer but the last.
      dropout: rate at which the numbers that enter a dense layer are left out, where a key is given.
      key: PRNG key of the visit, from a random objective; None predicts without dropout.

    Returns:
      [outputs], or a scalar if outputs was None.

    Raises:
      ValueError: the image is of another rank, of other colours, or of a size that leaves more or fewer
        numbers after the last pooling.

    >>> params = cnn.init(jax.random.key(0), (8, 8), 10)
    >>> cnn.predict(params, jnp.ones((8, 8))).shape
    (10,)

    Source: LeCun, Bottou, Bengio and Haffner (1998), Proc. IEEE 86(11).
    """
    image = jnp.asarray(image)
    hidden = _checked(params, image)
    for layer in range(1, len(params)):
        weights, bias = (params[f"convolution_{layer}"][name] for name in ("weights", "bias"))
        hidden = _pooled(activation(_convolution(hidden, weights) + bias))
    hidden = hidden.ravel()
    wanted = params["dense"]["layer_1"]["weights"].shape[0]
    if hidden.shape != (wanted,):
        raise ValueError(
            f"image has shape {image.shape}, of which {hidden.size} numbers come out of the last "
            f"pooling, but this network wants {wanted}: it was made for images of another size. Scale "
            "them (jax.image.resize), or give their shape to cnn.init."
        )
    if key is not None:
        hidden = drop(jax.random.fold_in(key, 0), hidden, dropout)
    return mlp.predict(params["dense"], hidden, activation, dropout=dropout, key=key)


def _checked(params, image):
    """The image as floats [height, width, colours]."""
    first = params["convolution_1"]["weights"] if "convolution_1" in params else None
    pixels = image[..., None] if image.ndim == 2 else image
    if pixels.ndim != 3 or (first is not None and pixels.shape[2] != first.shape[2]):
        colours = "colours" if first is None else first.shape[2]
        raise ValueError(
            f"image has shape {image.shape}, but one image [height, width, {colours}]"
            f"{', or [height, width],' if colours == 1 else ''} is wanted. Flat images become so by "
            "x.reshape(-1, height, width). For a batch map over it: "
            "jax.vmap(cnn.predict, in_axes=(None, 0))(params, x)."
        )
    return pixels.astype(params["dense"]["layer_1"]["weights"].dtype)


def _convolution(image, weights):
    """Convolution that keeps height and width: all patches, in one product of matrices.

    In a scan on a CPU, XLA's own convolution takes 6 to 9 times as long, backward pass included.
    """
    height, width, _ = image.shape
    kernel, _, _, channels = weights.shape
    before = (kernel - 1) // 2
    margin = (before, kernel - 1 - before)
    padded = jnp.pad(image, (margin, margin, (0, 0)))
    shifted = [padded[i : i + height, j : j + width] for i in range(kernel) for j in range(kernel)]
    patches = jnp.concatenate(shifted, axis=-1).reshape(height * width, -1)
    return (patches @ weights.reshape(-1, channels)).reshape(height, width, channels)


def _pooled(image):
    """The largest of each 2 x 2 pixels; a last odd row or column is left out."""
    height, width, channels = image.shape[0] // 2, image.shape[1] // 2, image.shape[2]
    even = image[: 2 * height, : 2 * width]
    return even.reshape(height, 2, width, 2, channels).max(axis=(1, 3))


cnn = Model(_init, _predict)

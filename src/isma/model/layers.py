"""Dense layers, an LSTM of stacked cells and heads that give a Gaussian: rows last but one, features last."""

from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from isma import randomness

Activation = Callable[[Array], Array]

_SMALLEST_STD = 0.01
_INPUT_GAIN = 5.0
_RECURRENT_GAIN = 0.3


class Dense(eqx.Module):
    """A fully connected layer."""

    weight: Float[Array, "inputs outputs"]
    bias: Float[Array, "outputs"]

    @classmethod
    def make(cls, key: PRNGKeyArray, inputs: int, outputs: int) -> "Dense":
        """Weights of variance 1 / inputs, no bias (LeCun et al., Efficient BackProp, 1998)."""
        return cls(randomness.normal(key, (inputs, outputs)) / inputs**0.5, jnp.zeros(outputs))

    def __call__(self, x: Float[Array, "*rows inputs"]) -> Float[Array, "*rows outputs"]:
        """Apply to every row."""
        return x @ self.weight + self.bias


class Mlp(eqx.Module):
    """Dense layers with an activation after each."""

    layers: tuple[Dense, ...]
    activations: tuple[Activation, ...] = eqx.field(static=True)

    @classmethod
    def make(
        cls, key: PRNGKeyArray, widths: Sequence[int], activations: Sequence[Activation]
    ) -> "Mlp":
        """Layers from one width to the next."""
        keys = jax.random.split(key, len(activations))
        pairs = zip(keys, widths[:-1], widths[1:], strict=True)
        return cls(tuple(Dense.make(*pair) for pair in pairs), tuple(activations))

    def __call__(self, x: Float[Array, "*rows inputs"]) -> Float[Array, "*rows outputs"]:
        """Apply to every row."""
        for layer, activation in zip(self.layers, self.activations, strict=True):
            x = activation(layer(x))
        return x


class Gaussian(eqx.Module):
    """Independent normal distributions."""

    mean: Float[Array, "*rows latent"]
    std: Float[Array, "*rows latent"]

    def sample(self, key: PRNGKeyArray, common: bool = False) -> Float[Array, "*rows latent"]:
        """Draw one sample of each; in `common`, with the same noise in every row."""
        shape = self.mean.shape[-1:] if common else self.mean.shape
        return self.mean + self.std * randomness.normal(key, shape, self.mean.dtype)

    def divergence_from(self, other: "Gaussian") -> Float[Array, "*rows"]:
        """Kullback-Leibler divergence KL(self || other), in nats, summed over the dimensions."""
        ratio = (self.std / other.std) ** 2
        apart = ((self.mean - other.mean) / other.std) ** 2
        return 0.5 * jnp.sum(ratio + apart - 1 - jnp.log(ratio), axis=-1)


class GaussianHead(eqx.Module):
    """A Gaussian from features: mean by tanh, standard deviation by sigmoid (Table I)."""

    hidden: Mlp | None
    mean: Dense
    std: Dense

    @classmethod
    def make(
        cls, key: PRNGKeyArray, inputs: int, latent: int, hidden: int | None = None
    ) -> "GaussianHead":
        """With one hidden layer of tanh, if its width is given."""
        keys = jax.random.split(key, 3)
        width = hidden or inputs
        first = Mlp.make(keys[0], (inputs, hidden), (jnp.tanh,)) if hidden else None
        return cls(first, Dense.make(keys[1], width, latent), Dense.make(keys[2], width, latent))

    def __call__(self, x: Float[Array, "*rows inputs"]) -> Gaussian:
        """The distribution for every row."""
        x = x if self.hidden is None else self.hidden(x)
        # One product for both, since each alone is too narrow to be fast.
        weight = jnp.concatenate([self.mean.weight, self.std.weight], axis=1)
        bias = jnp.concatenate([self.mean.bias, self.std.bias])
        mean, std = jnp.split(Dense(weight, bias)(x), 2, axis=-1)
        return Gaussian(jnp.tanh(mean), jnp.maximum(sigmoid(std), _SMALLEST_STD))


class LstmMemory(eqx.Module):
    """Memory of the stacked cells, first cell first."""

    hidden: tuple[Float[Array, "*rows width"], ...]
    cell: tuple[Float[Array, "*rows width"], ...]


class Lstm(eqx.Module):
    """Stacked LSTM cells (Hochreiter and Schmidhuber 1997, with forget gates): each reads the one before."""

    gates: tuple[Dense, ...]
    width: int = eqx.field(static=True)

    @classmethod
    def make(cls, key: PRNGKeyArray, inputs: int, width: int, cells: int) -> "Lstm":
        """Weights with which a signal passes through all the cells at about the same strength.

        A cell halves it three times over (two open gates, two tanh). With plain weights five cells
        leave a thousandth of an action, and nothing of it is learned (docs/decisions/0010).
        """
        widths = [inputs, *[width] * (cells - 1)]
        gates = []
        for one, before in zip(jax.random.split(key, cells), widths, strict=True):
            made = Dense.make(one, before + width, 4 * width)
            weight = made.weight.at[:before, 3 * width :].multiply(_INPUT_GAIN)
            gates.append(Dense(weight.at[before:].multiply(_RECURRENT_GAIN), made.bias))
        return cls(tuple(gates), width)

    def start(self, rows: tuple[int, ...]) -> LstmMemory:
        """Nothing remembered."""
        nothing = tuple(jnp.zeros((*rows, self.width), one.bias.dtype) for one in self.gates)
        return LstmMemory(nothing, nothing)

    def __call__(self, memory: LstmMemory, x: Float[Array, "*rows inputs"]) -> LstmMemory:
        """One step of all cells; the last one's hidden state is the output."""
        hidden, cell = [], []
        for gates, h, c in zip(self.gates, memory.hidden, memory.cell, strict=True):
            # One product for both operands, and one activation for three gates.
            enter, forget, leave, new = jnp.split(_joint(gates, x, h), 4, axis=-1)
            c = sigmoid(forget) * c + sigmoid(enter) * jnp.tanh(new)
            x = sigmoid(leave) * jnp.tanh(c)
            hidden.append(x)
            cell.append(c)
        return LstmMemory(tuple(hidden), tuple(cell))


class Gru(eqx.Module):
    """A gated recurrent unit (Cho et al. 2014)."""

    gates: Dense
    """Of how much is renewed, and how much of the old is read."""
    new: Dense

    @classmethod
    def make(cls, key: PRNGKeyArray, inputs: int, width: int) -> "Gru":
        """With random weights."""
        one, other = jax.random.split(key)
        return cls(
            Dense.make(one, inputs + width, 2 * width), Dense.make(other, inputs + width, width)
        )

    @property
    def width(self) -> int:
        """Numbers in its state."""
        return self.new.bias.shape[0]

    def __call__(
        self, state: Float[Array, "*rows width"], x: Float[Array, "*rows inputs"]
    ) -> Float[Array, "*rows width"]:
        """The state after one more input."""
        renews, reads = jnp.split(sigmoid(_joint(self.gates, x, state)), 2, axis=-1)
        new = jnp.tanh(_joint(self.new, x, reads * state))
        return state + renews * (new - state)


def _joint(
    dense: Dense,
    x: Float[Array, "*rows inputs"],
    h: Float[Array, "*rows width"] | Float[Array, "width"],
) -> Float[Array, "*rows outputs"]:
    """The layer on x and h concatenated; the part of h, which all rows of x share, is computed once."""
    if h.ndim == x.ndim:
        return dense(jnp.concatenate([x, h], axis=-1))
    before = x.shape[-1]
    return x @ dense.weight[:before] + (h @ dense.weight[before:] + dense.bias)


def sigmoid(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The logistic function, computed by tanh: on a CPU a third cheaper than the library's."""
    return 0.5 + 0.5 * jnp.tanh(0.5 * x)


def identity(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """No activation."""
    return x

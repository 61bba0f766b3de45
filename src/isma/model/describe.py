"""A network's layers as a table; those of a latent model with the paper's Table I."""

from dataclasses import dataclass, replace

import equinox as eqx
import jax

from isma.model.frame import Frame
from isma.model.latent import Kind, LatentModel
from isma.model.layers import Dense, Mlp
from isma.model.weights import NetworkFrame

_ACTIVATIONS = {"tanh": "tanh", "relu": "relu", "sigmoid": "sigmoid", "identity": "none"}


@dataclass(frozen=True)
class Row:
    """One layer, as built and as the paper has it."""

    network: str
    layer: str
    units: str
    activation: str
    paper: str
    """Entry in Table I; empty where it has no such row."""
    note: str = ""
    """Why it differs, if it does."""


def rows(frame: Frame) -> list[Row]:
    """Every row of Table I, and layers that it leaves out (the transition is in the text of section IV)."""
    one = replace(frame, separate=False)
    model = eqx.filter_eval_shape(one.make, jax.random.key(0))
    latent = [*_lstm(model, frame), *_encoder(model, frame), *_transition(model)]
    return [*latent, *_reward(model), *_observation(model, frame)]


def as_text(frame: Frame) -> str:
    """The table, and the number of weights."""
    table = rows(frame)
    heads = Row("network", "layer", "units", "activation", "Table I", "")
    columns = ("network", "layer", "units", "activation", "paper")
    widths = {c: max(len(getattr(row, c)) for row in [heads, *table]) for c in columns}
    lines = [
        "  ".join(f"{getattr(row, c):{widths[c]}}" for c in columns)
        + (f"  {row.note}" if row.note else "")
        for row in [heads, *table]
    ]
    model = eqx.filter_eval_shape(frame.make, jax.random.key(0))
    weights = sum(
        leaf.size for leaf in jax.tree.leaves(model) if isinstance(leaf, jax.ShapeDtypeStruct)
    )
    return "\n".join([*(line.rstrip() for line in lines), f"{frame.kind}: {weights:,} weights"])


def plainly(frame: NetworkFrame) -> str:
    """Every layer's place, inputs and units, and the number of weights."""
    network = eqx.filter_eval_shape(frame.make, jax.random.key(0))
    is_layer = lambda node: isinstance(node, Dense)  # noqa: E731
    layers = [
        (jax.tree_util.keystr(path).lstrip("."), layer)
        for path, layer in jax.tree_util.tree_leaves_with_path(network, is_leaf=is_layer)
        if is_layer(layer)
    ]
    width = max(len(place) for place, _ in layers)
    lines = [
        f"{place:{width}}  {layer.weight.shape[0]} x {layer.weight.shape[1]}"
        for place, layer in layers
    ]
    count = sum(leaf.size for leaf in jax.tree.leaves(network))
    return "\n".join([*lines, f"{frame.kind}: {count:,} weights"])


def _lstm(model: LatentModel, frame: Frame) -> list[Row]:
    name = "deterministic transition"
    if frame.kind is Kind.SLSM:
        return [
            Row(name, "none", "-", "-", "LSTM", "SLSM has stochastic states only (section IV.B)")
        ]
    sizes = model.sizes
    documented = "5 cells of 200 (section IV.A)"
    note = "" if (sizes.cells, sizes.memory) == (5, 200) else "Deviation: an ablation"
    return [
        Row(
            name,
            "input",
            f"{sizes.latent} + {sizes.action}",
            "/",
            "",
            "s and A, a ratio a row and its share in its server's column; the paper does not say",
        ),
        Row(name, "LSTM", f"{sizes.cells} cells of {sizes.memory}", "tanh", documented, note),
    ]


def _encoder(model: LatentModel, frame: Frame) -> list[Row]:
    inputs, latent = model.encoder.mean.weight.shape
    own = inputs - model.sizes.observation
    note = "" if frame.kind is not Kind.SLSM else "s and A in the place of h: SLSM"
    return [
        Row("encoder", "input", f"{own} + {model.sizes.observation}", "/", "200 + 246", note),
        Row("encoder", "mean", str(latent), "tanh", "60 tanh"),
        Row("encoder", "std", str(latent), "sigmoid", "60 sigmoid", "at least 0.01"),
    ]


def _transition(model: LatentModel) -> list[Row]:
    name, head = "stochastic transition", model.transition
    assert head.hidden is not None
    note = "" if head.hidden.layers[0].weight.shape[0] == 200 else "s and A in the place of h: SLSM"
    hidden = _mlp(name, head.hidden, ("200", "512 tanh"), note)
    latent = str(head.mean.weight.shape[1])
    return [
        *hidden,
        Row(name, "mean", latent, "tanh", "60 tanh"),
        Row(name, "std", latent, "sigmoid", "60 sigmoid", "at least 0.01"),
    ]


def _reward(model: LatentModel) -> list[Row]:
    documented = ("60 + 200", "512 relu", "60 relu", "60 relu")
    rows = _mlp("reward", model.reward_model, documented, _no_memory(model))
    note = f"the first {model.sizes.users} are the users' rewards"
    return [*rows[:-1], replace(rows[-1], layer="output", note=note)]


def _observation(model: LatentModel, frame: Frame) -> list[Row]:
    documented = ("60 + 200", "512 tanh", "256 tanh", "166 sigmoid")
    rows = _mlp("observation", model.observation_model, documented, _no_memory(model))
    last, users, servers = rows[-1], frame.num_users, frame.num_servers
    note = f"U, c, f^r, g of {users} users and F of {servers} servers"
    return [*rows[:-1], Row(last.network, "output", last.units, last.activation, last.paper, note)]


def _no_memory(model: LatentModel) -> str:
    return "" if model.reward_model.layers[0].weight.shape[0] == 260 else "s alone: SLSM"


def _mlp(name: str, mlp: Mlp, documented: tuple[str, ...], note: str) -> list[Row]:
    inputs = mlp.layers[0].weight.shape[0]
    rows = [Row(name, "input", str(inputs), "/", documented[0], note)]
    for number, (layer, activation) in enumerate(zip(mlp.layers, mlp.activations, strict=True)):
        word = _ACTIVATIONS[activation.__name__]
        units = str(layer.weight.shape[1])
        rows.append(Row(name, f"layer {number + 1}", units, word, documented[number + 1]))
    return rows

"""Models of one layer from its weights: what `get_weights()` gives, or a `state_dict`."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

import numpy as np

from . import _ritornello
from ._arrays import Taker
from ._model import Model
from ._ritornello import Error

KERAS_NAMES = ("kernel", "recurrent_kernel", "bias")


def keras_simple_rnn(
    weights: Sequence[Any],
    *,
    activation: str = "tanh",
    return_sequences: bool = False,
    return_state: bool = False,
    go_backwards: bool = False,
    **options: Any,
) -> Model:
    """A Keras `SimpleRNN` from `[kernel, recurrent_kernel, bias]`, untransposed."""
    keys = {"activation": activation}
    return _keras("rnn", keys, weights, return_sequences, return_state, go_backwards, options)


def keras_lstm(
    weights: Sequence[Any],
    *,
    activation: str = "tanh",
    recurrent_activation: str = "sigmoid",
    return_sequences: bool = False,
    return_state: bool = False,
    go_backwards: bool = False,
    **options: Any,
) -> Model:
    """A Keras `LSTM` from `[kernel, recurrent_kernel, bias]`, untransposed; gates i f c o."""
    keys = {"activation": activation, "recurrent_activation": recurrent_activation}
    return _keras("lstm", keys, weights, return_sequences, return_state, go_backwards, options)


def keras_gru(
    weights: Sequence[Any],
    *,
    activation: str = "tanh",
    recurrent_activation: str = "sigmoid",
    reset_after: bool | None = None,
    return_sequences: bool = False,
    return_state: bool = False,
    go_backwards: bool = False,
    **options: Any,
) -> Model:
    """A Keras `GRU` from `[kernel, recurrent_kernel, bias]`, untransposed; gates z r h.

    A bias of two rows comes from `reset_after=True`, one of one row from `False`. Without a bias
    the arrays do not tell: that is `True` unless it is said.
    """
    one_row = len(weights) == 3 and np.ndim(weights[2]) == 1
    if reset_after is None:
        reset_after = not one_row
    keys = {"activation": activation, "recurrent_activation": recurrent_activation}
    if not reset_after:
        keys["reset"] = "before"
    return _keras("gru", keys, weights, return_sequences, return_state, go_backwards, options)


def _keras(
    op: str,
    keys: dict[str, str],
    weights: Sequence[Any],
    return_sequences: bool,
    return_state: bool,
    go_backwards: bool,
    options: dict[str, Any],
) -> Model:
    from ._keras import Keras

    arrays = _arrays(weights, KERAS_NAMES, op)
    input_size = _features(arrays["kernel"], "kernel", ("input", "gates × units"), axis=0)
    node = {
        "name": op,
        "op": op,
        "inputs": ["x"],
        **keys,
        "bias": "bias" in arrays,
        "weights": {"convention": "keras", "prefix": ""},
    }
    if go_backwards:
        node.update(direction="reverse", order="processing")
    outputs = [op if return_sequences else f"{op}.last"]
    states = [f"{op}.h_n"] + ([f"{op}.c_n"] if op == "lstm" else [])
    if return_state:
        selected = [
            {"name": f"{op}.{state[-3]}", "op": "select", "inputs": [state], "state": 0} for state in states
        ]
        outputs += [node["name"] for node in selected]
    else:
        selected = []
    form = list(range(len(outputs))) if return_state else 0
    native = _built(input_size, [node, *selected], outputs, arrays)
    return Model(native, Keras(form), **options)


def torch_rnn(weights: Any, *, nonlinearity: str = "tanh", **keys: Any) -> Model:
    """An `nn.RNN` from its `state_dict()`, or from its tensors in that order.

    `num_layers`, `bidirectional` and `batch_first` are as for `nn.RNN`; the number of layers, the
    biases and the directions are read off the tensors.
    """
    return _torch("RNN", weights, keys, nonlinearity=nonlinearity)


def torch_lstm(weights: Any, **keys: Any) -> Model:
    """An `nn.LSTM` from its `state_dict()`, or from its tensors in that order: see `torch_rnn`."""
    return _torch("LSTM", weights, keys)


def torch_gru(weights: Any, **keys: Any) -> Model:
    """An `nn.GRU` from its `state_dict()`, or from its tensors in that order: see `torch_rnn`."""
    return _torch("GRU", weights, keys)


def _torch(kind: str, weights: Any, keys: dict[str, Any], nonlinearity: str = "tanh") -> Model:
    from ._torch.layout import Layout

    layout_keys = ("num_layers", "bidirectional", "batch_first")
    layout_options = {key: keys.pop(key) for key in layout_keys if key in keys}
    if isinstance(weights, Mapping):
        given = {name: _numbers(array, name) for name, array in weights.items()}
        layout = Layout.of_names(kind, given, nonlinearity, **layout_options)
    else:
        arrays = [_numbers(array, f"tensor {index}") for index, array in enumerate(weights)]
        layout = Layout.of_list(kind, arrays, nonlinearity, **layout_options)
        given = dict(zip(layout.tensor_names(), arrays))
    return layout.model(given, keys)


def _numbers(array: Any, name: str) -> np.ndarray:
    return Taker().numbers(np.asarray(array) if isinstance(array, list) else array, name)


def _arrays(weights: Sequence[Any], names: Sequence[str], what: str) -> dict[str, np.ndarray]:
    if len(weights) not in (len(names) - 1, len(names)):
        raise Error(
            f"the weights of {what} are {len(weights)} arrays, expected {len(names)} "
            f"({', '.join(names)}), or {len(names) - 1} without bias"
        )
    return {name: _quiet(array, name) for name, array in zip(names, weights)}


def _quiet(array: Any, name: str) -> np.ndarray:
    taker = Taker()
    taker.warned = True
    return taker.numbers(array, name)


def _features(array: np.ndarray, name: str, axes: tuple[str, str], axis: int) -> int:
    if array.ndim != 2:
        raise Error(f"{name} is {list(array.shape)}, expected [{axes[0]}, {axes[1]}]")
    return array.shape[axis]


def _built(input_size: int, nodes: list, outputs: list, arrays: dict) -> _ritornello.Model:
    import json

    spec = {
        "ritornello": 1,
        "inputs": [{"name": "x", "axes": ["batch", "time", input_size]}],
        "nodes": nodes,
        "outputs": outputs,
    }
    return _ritornello.Model.from_spec(json.dumps(spec), list(arrays.items()))

"""What a module inside a traced one computes."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from .._ritornello import UnsupportedError
from . import activations, is_recurrent
from .layout import Layout
from .packed import Packed
from .refusal import cell_loop
from .values import BATCH, FEATURES, ONE, STATES, Value, Zeros

#: Modules that do nothing at inference.
IDENTITY = (nn.Identity, nn.modules.dropout._DropoutNd)


def module_value(reader: Any, path: str, part: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """The value of a call of the module at `path`."""
    if isinstance(part, (nn.RNNBase, nn.RNNCellBase)):
        if not is_recurrent(part, torch):
            raise UnsupportedError(
                f"module '{path}' of class {type(part).__name__} is derived from a recurrent module "
                "and may compute something else: use the module itself"
            )
        x, hx = _arguments(args, kwargs)
        layout = Layout.of_module(part)
        return (_cell if layout.is_cell else _recurrent)(reader, path, part, layout, x, hx)
    if kwargs or len(args) != 1:
        raise UnsupportedError(f"module '{path}' called with other arguments than one tensor")
    x = args[0]
    if isinstance(part, IDENTITY):
        return x
    label = f"module '{path}' ({type(part).__name__})"
    x = reader.expect_value(x, label)
    if type(part) is nn.Linear:
        return linear(reader, path, part, x)
    if type(part) is nn.Embedding:
        return _embedding(reader, path, part, x)
    if type(part) is nn.BatchNorm1d:
        return _batch_norm(reader, path, part, x)
    if type(part) is nn.Flatten:
        from .functions import TABLE

        return TABLE["flatten"](reader, x, part.start_dim, part.end_dim)
    activation = activations.of_module(part)
    if activation is not None:
        return reader.activation(x, *activations.word(*activation))
    raise UnsupportedError(
        f"{label} is not run here; there are: RNN, LSTM, GRU and their cells, Linear, Embedding, "
        f"BatchNorm1d, Dropout, Flatten, Identity, {', '.join(activations.MODULES)}"
    )


def _arguments(args: tuple, kwargs: dict[str, Any]) -> tuple[Any, Any]:
    given = dict(zip(("input", "hx"), args), **kwargs)
    return given["input"], given.get("hx")


def linear(reader: Any, path: str, part: Any, x: Value) -> Value:
    """A linear layer on every row."""
    if not x.axes or x.axes[-1] != FEATURES:
        raise UnsupportedError(f"module '{path}' (Linear) over another axis than the features: {x.axes}")
    if x.features != part.in_features:
        raise UnsupportedError(
            f"module '{path}' (Linear) is called on features {x.features}, expected {part.in_features}"
        )
    names = ["weight"] if part.bias is None else ["weight", "bias"]
    keys = {"key_weights": reader.weighted(path, part, names)}
    if part.bias is None:
        keys["key_bias"] = False
    return reader.emit("dense", [x], x, features=part.out_features, **keys)


def _embedding(reader: Any, path: str, part: Any, x: Value) -> Value:
    if part.max_norm is not None:
        raise UnsupportedError(f"module '{path}' (Embedding) with max_norm changes its weights in a call")
    if not x.is_index:
        raise UnsupportedError(f"module '{path}' (Embedding) is called on numbers, expected indices")
    axes = (*x.axes, FEATURES)
    weights = reader.weighted(path, part, ["weight"])
    return reader.emit("embedding", [x], x, features=part.embedding_dim, axes=axes, key_weights=weights)


def _batch_norm(reader: Any, path: str, part: Any, x: Value) -> Value:
    label = f"module '{path}' (BatchNorm1d)"
    if part.running_mean is None:
        raise UnsupportedError(f"{label} keeps no statistics and uses those of the batch")
    if len(x.axes) < 2 or x.axes[1] != FEATURES or x.features != part.num_features:
        raise UnsupportedError(
            f"{label} is called on [{', '.join(x.axes)}], expected [batch, features "
            f"{part.num_features}] or [batch, features, time]"
        )
    names = ["running_mean", "running_var"]
    names += ["weight", "bias"] if part.affine else []
    weights = reader.weighted(path, part, names)
    return reader.emit("scale_shift", [x], x, key_eps=part.eps, key_weights=weights)


def _recurrent(reader: Any, path: str, part: Any, layout: Layout, x: Any, hx: Any) -> Any:
    expected = reader.sequence_axes(layout.batch_first)
    label = f"module '{path}' ({layout.kind})"
    if isinstance(x, Packed):
        # Packed, it has no order of batch and time; what is given back has that of the module.
        value = x.value.with_axes(expected)
        out, states = _recurrent(reader, path, part, layout, value, hx)
        reader.packed.add(out.name)
        return Packed(out), states
    x = sequence_of(reader, x, layout, label)
    if x.axes != expected:
        raise reader.mismatch(path, x, expected)
    if x.features != layout.input_size:
        raise UnsupportedError(f"{label} is called on features {x.features}, expected {layout.input_size}")
    initial = _initial(reader, label, layout, hx)
    name = reader.recurrent(layout, path, part, x, initial)
    out = x.with_axes(expected, name=name, features=layout.output_size)
    states = [
        Value(f"{name}.{letter}_n", "states", size, (STATES, BATCH, FEATURES), layout.states)
        for letter, size in zip("hc", layout.state_sizes)
    ]
    return out, (tuple(states) if layout.kind == "LSTM" else states[0])


def sequence_of(reader: Any, x: Any, layout: Layout, label: str) -> Value:
    """A sequence from a tensor: itself, zeros with a first step, or a vector as a single step."""
    time = 1 if layout.batch_first else 0
    if isinstance(x, Zeros):
        if x.first is None or x.time != time or not isinstance(x.shape[time], int):
            raise UnsupportedError(
                f"{label} is called on zeros; into their first step a vector is written here, and "
                "their number of steps is a number"
            )
        steps = x.shape[time]
        axes = reader.sequence_axes(layout.batch_first)
        return reader.emit(
            "unroll", [x.first], x.first, kind="sequence", axes=axes, count=steps, key_steps=steps
        )
    x = reader.expect_value(x, label)
    if x.kind == "vector" and ONE in x.axes:
        axes = tuple("time" if axis == ONE else axis for axis in x.axes)
        return reader.emit("repeat", [x], x, kind="sequence", axes=axes, count=1, key_steps=1)
    return x


def _initial(reader: Any, label: str, layout: Layout, hx: Any) -> list[Value]:
    """The initial states; none where they are zeros."""
    count = len(layout.state_sizes)
    parts = [hx] if count == 1 else [None, None] if hx is None else list(hx)
    if len(parts) != count:
        raise UnsupportedError(f"{label} is called with {len(parts)} states, expected (h_0, c_0)")
    if all(part is None or isinstance(part, Zeros) and part.first is None for part in parts):
        return []
    states = []
    for part, size in zip(parts, layout.state_sizes):
        if part is None or isinstance(part, Zeros):
            raise UnsupportedError(f"{label} with one state of zeros and one that is none: give both")
        part = reader.expect_value(part, f"a state of {label}")
        if part.kind == "vector" and part.axes == (ONE, BATCH, FEATURES):
            part = part.with_axes((STATES, BATCH, FEATURES), count=1)
        if part.axes != (STATES, BATCH, FEATURES):
            raise UnsupportedError(
                f"a state of {label} has the axes {part.axes}, expected [states, batch, features]"
            )
        if part.count != layout.states or part.features != size:
            raise UnsupportedError(
                f"a state of {label} is [{part.count}, batch, {part.features}], expected "
                f"[layers × directions {layout.states}, batch, {size}]"
            )
        states.append(part)
    return states


def _cell(reader: Any, path: str, part: Any, layout: Layout, x: Any, hx: Any) -> Any:
    label = f"module '{path}' ({layout.kind}Cell)"
    if path in reader.cells:
        raise cell_loop(reader.module, f"{label} is called more than once: a loop over time.")
    reader.cells.add(path)
    x = reader.expect_value(x, label)
    if x.kind != "vector" or x.axes != (BATCH, FEATURES):
        raise UnsupportedError(f"{label} is called on [{', '.join(x.axes)}], expected [batch, features]")
    parts = [] if hx is None else [hx] if layout.kind != "LSTM" else list(hx)
    if all(isinstance(p, Zeros) and p.first is None for p in parts):
        parts = []
    initial = [reader.expect_value(p, f"a state of {label}") for p in parts]
    if any(p.axes != (BATCH, FEATURES) for p in initial):
        raise UnsupportedError(f"{label} is called with states of other axes than [batch, hidden]")
    sequence = reader.emit(
        "repeat", [x], x, kind="sequence", axes=("batch", "time", FEATURES), count=1, key_steps=1
    )
    name = reader.recurrent(layout, path, part, sequence, initial)
    h = Value(f"{name}.last", "vector", layout.hidden_size, (BATCH, FEATURES))
    if layout.kind != "LSTM":
        return h
    cells = Value(f"{name}.c_n", "states", layout.hidden_size, (STATES, BATCH, FEATURES), 1)
    c = reader.emit("select", [cells], cells, kind="vector", axes=(BATCH, FEATURES), count=None, key_state=0)
    return h, c

"""A traced graph as a specification: one node after the other, each by what is known of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
from torch import fx

from .._keras import structure
from .._ritornello import UnsupportedError
from . import activations, constants, functions, packed, tensors_of
from .graph_call import Arrangement
from .inputs import Guess
from .layout import Layout
from .modules import module_value
from .refusal import AxesMismatch
from .values import (
    BATCH,
    DIRECTIONS,
    FEATURES,
    LAYERS,
    ONE,
    ROWS,
    STATES,
    TIME,
    Unknown,
    Value,
    natural_axes,
)


class Reader:
    """A specification in the making."""

    def __init__(self, module: Any, inputs: list[Guess], batch_first: bool) -> None:
        self.module = module
        self.batch_first = batch_first
        self.inputs: list[dict[str, Any]] = []
        self.nodes: list[dict[str, Any]] = []
        self.outputs: list[str] = []
        self.tensors: dict[str, np.ndarray] = {}
        self.form: Any = 0
        self.arrangements: tuple[Arrangement, ...] = ()
        self.cells: set[str] = set()
        #: Recurrent nodes over sequences that were packed, and the argument that says their lengths.
        self.packed: set[str] = set()
        self.lengths: str | None = None
        self._free: set[str] = set()
        self._guesses = {guess.name: guess for guess in inputs}
        self._values: dict[fx.Node, Any] = {}
        self._made: dict[str, Value] = {}
        self._names: set[str] = set()
        self._now = "value"

    def spec(self) -> dict[str, Any]:
        """The specification."""
        spec: dict[str, Any] = {"ritornello": 1, "inputs": self.inputs}
        if not self.batch_first:
            spec["time_major"] = True
        return {**spec, "nodes": self.nodes, "outputs": self.outputs}

    def read(self, graph: fx.Graph) -> None:
        """Reads all nodes."""
        for node in graph.nodes:
            self._now = node.name
            try:
                self._values[node] = self._node(node)
            except UnsupportedError as problem:
                raise type(problem)(f"{problem}{_line(node)}") from None
            except (TypeError, IndexError, KeyError, AttributeError) as problem:
                raise UnsupportedError(
                    f"{self._label(node)} is not run here in this way: {problem}{_line(node)}"
                ) from problem
        if self.packed:
            self._free |= {end["name"] for end in self.inputs}
            packed.check(self.nodes, self._free, self.packed)

    def _label(self, node: fx.Node) -> str:
        return f"operation '{getattr(node.target, '__name__', node.target)}'"

    def _node(self, node: fx.Node) -> Any:
        args = fx.node.map_arg(node.args, lambda n: self._value(n))
        kwargs = fx.node.map_arg(node.kwargs, lambda n: self._value(n))
        if node.op == "placeholder":
            guess = self._guesses.get(str(node.target))
            if guess is not None and guess.kind == "lengths":
                self.lengths = guess.name
                return packed.Lengths(guess.name)
            if guess is None:
                return Unknown(f"the argument '{node.target}'")
            parts = tuple(self._input(part) for part in guess.parts())
            return parts if guess.pair is not None else parts[0]
        if node.op == "get_attr":
            return constants.Held(_attribute(self.module, str(node.target)), str(node.target))
        if node.op == "output":
            return self._output(args[0])
        if node.op == "call_module":
            path = str(node.target)
            return module_value(self, path, self.module.get_submodule(path), args, kwargs)
        made = constants.computed(node, args, kwargs)
        if made is not None:
            return made
        name = str(getattr(node.target, "__name__", node.target))
        known = functions.TABLE.get(name)
        if known is None:
            activation = activations.of_call(name, args[1:], kwargs)
            if activation is None:
                known_names = ", ".join(n for n in sorted(functions.TABLE) if n.strip("_") == n)
                raise UnsupportedError(
                    f"{self._label(node)} is not run here; there are: {known_names}, and activations"
                )
            return self.activation(args[0], *activations.word(*activation))
        return known(self, *args, **kwargs)

    def _value(self, node: fx.Node) -> Any:
        return self._values[node]

    def _input(self, guess: Guess) -> Value:
        order = ["batch", "time"] if self.batch_first else ["time", "batch"]
        axes: list[Any] = {
            "sequence": order,
            "vector": ["batch"],
            "states": [guess.count, "batch"],
        }[guess.kind or "vector"]
        described: dict[str, Any] = {"name": guess.name}
        described["axes"] = axes if guess.is_index else [*axes, guess.features]
        if guess.is_index:
            described["dtype"] = "int32"
        self.inputs.append(described)
        self._names.add(guess.name)
        value = Value(guess.name, guess.kind or "vector", guess.features or 1, (), guess.count)
        axes_of = natural_axes(value, self.batch_first)
        axes_of = axes_of[:-1] if guess.is_index else axes_of
        return value.with_axes(axes_of, is_index=guess.is_index)

    def name(self, wish: str | None = None) -> str:
        """A name that no value has."""
        wish = name = wish or self._now
        count = 0
        while name in self._names:
            count += 1
            name = f"{wish}_{count}"
        self._names.add(name)
        return name

    def emit(self, op: str, inputs: list[Value], like: Value, **changes: Any) -> Value:
        """Adds a node; its value is as `like`, but for `changes` of it. Keys of the node begin with
        `key_`. The same node of the same values is added once."""
        keys = {key[4:]: changes.pop(key) for key in list(changes) if key.startswith("key_")}
        for value in inputs:
            if value.is_index and op != "embedding":
                raise UnsupportedError(f"{op} of indices is not run here: put an Embedding before it")
        names = [value.name for value in inputs]
        mark = json.dumps([op, names, keys], sort_keys=True)
        if mark not in self._made:
            name = self.name()
            self.nodes.append({"name": name, "op": op, "inputs": names, **keys})
            self._made[mark] = Value(name, like.kind, like.features, ())
        fields = {**vars(like), "is_index": False, **changes}
        fields["name"] = self._made[mark].name
        value = Value(**fields)
        if value.kind == "sequence" and value.count is None:
            self._free.add(value.name)
        return value

    def expect_value(self, value: Any, what: str) -> Value:
        """Fails unless it is a tensor that the model computes."""
        if isinstance(value, Value):
            return value
        found = value.what if isinstance(value, Unknown) else f"{type(value).__name__.lower()}"
        if isinstance(value, constants.Held):
            found = f"the tensor '{value.path}' of the module, which is not spread over the batch,"
        raise UnsupportedError(f"{what} of {found} is not run here")

    def activation(self, x: Any, word: str, dim: int | None) -> Value:
        """An activation on every row."""
        x = self.expect_value(x, word)
        if dim is not None and (FEATURES not in x.axes or x.axes[x.place(dim)] != FEATURES):
            raise UnsupportedError(f"{word} over another axis than the features is not run here")
        return self.emit("activation", [x], x, key_activation=word)

    def scaled(self, x: Value, scale: Any, shift: Any) -> Value:
        """`scale x + shift` with numbers, or with one for each feature."""
        name = self.name(f"{self._now}_by")
        self.tensors[f"{name}.scale"] = _row(scale, x.features)
        self.tensors[f"{name}.shift"] = _row(shift, x.features)
        weights = {"convention": "ritornello", "prefix": f"{name}."}
        return self.emit("scale_shift", [x], x, key_weights=weights)

    def weighted(self, path: str, part: Any, names: list[str]) -> dict[str, str]:
        """Takes tensors of a module; what a node says of them."""
        prefix = f"{path}."
        self.tensors.update(tensors_of(part, names, prefix))
        return {"convention": "pytorch", "prefix": prefix}

    def recurrent(self, layout: Layout, path: str, part: Any, sequence: Value, initial: list[Any]) -> str:
        """Adds a recurrent node over a sequence; its name."""
        self.weighted(path, part, layout.tensor_names())
        name = self.name(path.replace(".", "_"))
        node = layout.node(name, sequence.name, f"{path}.")
        for key, state in zip(("initial_h", "initial_c"), initial):
            node[key] = state.name
        self.nodes.append(node)
        return name

    def _output(self, result: Any) -> None:
        """Takes what the module returns."""
        self.form = structure(result)
        found = []

        def each(part: Any) -> None:
            if isinstance(part, dict):
                for value in part.values():
                    each(value)
            elif isinstance(part, (list, tuple)):
                for value in part:
                    each(value)
            elif isinstance(part, packed.Padded):
                found.append((part.value, True))
            else:
                found.append((self.expect_value(part, "a result"), False))

        each(result)
        arrangements = []
        for value, is_padded in found:
            if self.packed and not is_padded and value.kind == "sequence" and value.count is None:
                raise UnsupportedError("a padded sequence as a result beside one that is packed")
            self.outputs.append(self._shown(value))
            how = self._arrangement(value)
            arrangements.append(replace(how, trimmed=value.axes.index(TIME)) if is_padded else how)
        self.arrangements = tuple(arrangements)

    def _shown(self, value: Value) -> Any:
        """An output; one that is shown twice has two names."""
        if value.name in [o if isinstance(o, str) else o["value"] for o in self.outputs]:
            return {"name": self.name(f"{value.name}_again"), "value": value.name}
        return value.name

    def _arrangement(self, value: Value) -> Arrangement:
        """How the model's array becomes the result."""
        natural = list(natural_axes(value, self.batch_first))
        directions = None
        if LAYERS in value.axes or DIRECTIONS in value.axes:
            natural[natural.index(STATES) : natural.index(STATES) + 1] = [LAYERS, DIRECTIONS]
            directions = value.directions
        spread: list[list[str]] = []
        for axis in value.axes:
            spread.append(list(value.rows) if axis == ROWS else [] if axis == ONE else [axis])
        flat = [axis for group in spread for axis in group]
        left = [axis for axis in natural if axis not in flat]
        if any(axis != FEATURES or value.features != 1 for axis in left):
            raise UnsupportedError(f"a result with the axes {value.axes} is not given here")
        order = tuple(natural.index(axis) for axis in [*flat, *left])
        if [len(group) for group in spread] == [1] * len(spread) and not left:
            return Arrangement(order, None, directions)
        place, joined = 0, []
        for group in spread:
            joined.append(tuple(range(place, place + len(group))))
            place += len(group)
        return Arrangement(order, tuple(joined), directions)

    def sequence_axes(self, batch_first: bool) -> tuple[str, ...]:
        """The axes that a recurrent module expects of its input."""
        return (BATCH, TIME, FEATURES) if batch_first else (TIME, BATCH, FEATURES)

    def mismatch(self, path: str, value: Value, expected: tuple[str, ...]) -> AxesMismatch:
        """The error that a module is called on other axes."""
        return AxesMismatch(
            f"module '{path}' is called on [{', '.join(value.axes)}], expected [{', '.join(expected)}]"
        )


def _row(numbers: Any, features: int) -> np.ndarray:
    return np.array(np.broadcast_to(np.asarray(numbers, np.float32), (features,)))


def _attribute(module: Any, path: str) -> Any:
    for part in path.split("."):
        module = getattr(module, part)
    return module.detach()


def _line(node: fx.Node) -> str:
    """The line of `forward` that a node comes from."""
    own, inside = [], False
    for line in (node.stack_trace or "").splitlines():
        line = line.strip()
        if line.startswith("File "):
            inside = "/torch/" in line or "/ritornello/" in line
        elif line and not inside and not line.startswith(("~", "^")):
            own.append(line)
    return f"\n    in `forward`: {own[-1]}" if own else ""

"""Tensors that a module holds itself: learned initial states, gains, and what is made of them alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .._ritornello import UnsupportedError
from .values import BATCH, FEATURES, STATES, Size, Unknown, Value, Zeros


@dataclass(frozen=True)
class Held:
    """A tensor whose numbers are known."""

    tensor: Any
    path: str

    @property
    def axes(self) -> tuple[str, ...]:
        """None that the model has: these are the module's own."""
        return ()


def computed(node: Any, args: tuple, kwargs: dict[str, Any]) -> Held | None:
    """What an operation gives that knows all its numbers: PyTorch computes it."""
    flat: list[Any] = []

    def gather(part: Any) -> Any:
        if isinstance(part, dict):
            part = list(part.values())
        if isinstance(part, (list, tuple)):
            for item in part:
                gather(item)
        else:
            flat.append(part)

    gather([*args, *kwargs.values()])
    held = [part for part in flat if isinstance(part, Held)]
    if not held or any(isinstance(part, (Value, Size, Zeros, Unknown)) for part in flat):
        return None

    def plain(part: Any) -> Any:
        if isinstance(part, Held):
            return part.tensor
        if isinstance(part, (list, tuple)):
            return type(part)(plain(item) for item in part)
        return part

    args, kwargs = plain(tuple(args)), {key: plain(part) for key, part in kwargs.items()}
    if node.op == "call_method":
        result = getattr(args[0], str(node.target))(*args[1:], **kwargs)
    else:
        result = node.target(*args, **kwargs)
    if not hasattr(result, "shape") or not hasattr(result, "is_floating_point"):
        return None
    return Held(result, held[0].path)


def over_the_batch(reader: Any, held: Held, sizes: tuple, repeats: bool) -> Value:
    """A tensor expanded or repeated over the batch: states or a vector."""
    sizes = tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes
    own = (1,) * (len(sizes) - held.tensor.dim()) + tuple(held.tensor.shape)
    same = (1,) if repeats else (-1,)
    places = [place for place, size in enumerate(sizes) if size == Size(BATCH)]
    fits = len(places) == 1 and own[places[0]] == 1 and len(sizes) == len(own) in (2, 3)
    for place, (size, length) in enumerate(zip(sizes, own)):
        fits = fits and (place in places or size in same or not repeats and size == length)
    if not fits or (len(own), places[0]) not in ((2, 0), (3, 1)):
        raise UnsupportedError(
            f"the tensor '{held.path}' {list(held.tensor.shape)} spread to {sizes} is not run here: "
            "[states, 1, features] and [1, features] are spread over the batch"
        )
    rows = held.tensor.reshape([length for place, length in enumerate(own) if place != places[0]])
    return constant(reader, rows, held.path)


def constant(reader: Any, rows: Any, path: str) -> Value:
    """The node of states `[states, features]`, or of a vector `[features]`."""
    from . import numbers

    name = reader.name(path.replace(".", "_"))
    reader.tensors[f"{name}.value"] = numbers(rows)
    kind = "states" if rows.dim() == 2 else "vector"
    reader.nodes.append({"name": name, "op": "constant", "kind": kind, "tensor": f"{name}.value"})
    if kind == "vector":
        return Value(name, kind, rows.shape[0], (BATCH, FEATURES))
    return Value(name, kind, rows.shape[1], (STATES, BATCH, FEATURES), rows.shape[0])


def applied(reader: Any, op: str, x: Value, held: Held) -> Value:
    """A sum or product of every row with a tensor `[features]`, or with a number."""
    shape = tuple(held.tensor.shape)
    last = not x.axes or x.axes[-1] == FEATURES
    row = last and len(shape) <= len(x.axes) and shape[-1:] in ((x.features,), (1,), ())
    if not row or any(length != 1 for length in shape[:-1]):
        raise UnsupportedError(
            f"{op} of [{', '.join(x.axes)}] with features {x.features} and the tensor '{held.path}' "
            f"{list(shape)} is not run here: it is one of features, the same in every row"
        )
    from . import numbers

    by = numbers(held.tensor).reshape(-1)
    return reader.scaled(x, 1.0, by) if op == "add" else reader.scaled(x, by, 0.0)

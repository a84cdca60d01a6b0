"""Functions, operators and methods on tensors, by name."""

from __future__ import annotations

from typing import Any, Callable

from .._ritornello import UnsupportedError
from .constants import Held, applied, over_the_batch
from .values import (
    BATCH,
    DIRECTIONS,
    FEATURES,
    LAYERS,
    ONE,
    ROWS,
    STATES,
    TIME,
    Size,
    Unknown,
    Value,
    Zeros,
)

TABLE: dict[str, Callable[..., Any]] = {}


def known(*names: str) -> Callable[[Callable], Callable]:
    """Enters a function under these names."""

    def enter(function: Callable) -> Callable:
        TABLE.update(dict.fromkeys(names, function))
        return function

    return enter


def refuse(what: str) -> UnsupportedError:
    """The error that something is not run here."""
    return UnsupportedError(f"{what} is not run here")


@known("contiguous", "clone", "detach", "float", "to", "cpu", "dropout", "identity", "type_as", "long")
def same(reader: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    """Another copy, type or device, or dropout at inference."""
    if kwargs.get("training") is True:
        raise refuse("dropout with training=True")
    return x


@known("_assert_is_none", "_assert")
def nothing(reader: Any, *args: Any) -> None:
    """A check that tracing put in."""


@known("size")
def size(reader: Any, x: Any, dim: int | None = None) -> Any:
    """Lengths of axes."""
    shape = x.shape if isinstance(x, Zeros) else reader.expect_value(x, "size").shape()
    return shape if dim is None else shape[dim]


@known("getattr")
def attribute(reader: Any, x: Any, name: str, *default: Any) -> Any:
    """An attribute of a tensor, or of what `max` gives."""
    if name == "shape":
        return size(reader, x)
    if name in ("device", "dtype"):
        return Unknown(f"the {name}")
    if name in ("T", "mT") and isinstance(x, Value):
        return transpose(reader, x, -2, -1)
    if name == "values" and isinstance(x, tuple):
        return x[0]
    raise refuse(f"the attribute '{name}'")


@known("zeros", "new_zeros", "zeros_like")
def zeros(reader: Any, *args: Any, **kwargs: Any) -> Zeros:
    """Zeros of some shape."""
    args = tuple(a for a in args if not isinstance(a, Value) or _like(a))
    if args and isinstance(args[0], Value):
        return Zeros(args[0].shape())
    shape = kwargs.get("size", args[0] if len(args) == 1 and isinstance(args[0], (tuple, list)) else args)
    return Zeros(tuple(shape))


def _like(value: Value) -> bool:
    return bool(value.axes)


@known("setitem")
def write(reader: Any, x: Any, index: Any, value: Any) -> None:
    """Writes into zeros: a vector into their first step."""
    index = index if isinstance(index, tuple) else (index,)
    value = reader.expect_value(value, "writing into a tensor")
    places = [place for place, i in enumerate(index) if i == 0 and isinstance(i, int)]
    whole = all(i == slice(None) or i is Ellipsis for place, i in enumerate(index) if place not in places)
    vector = value.kind == "vector" and value.axes == (BATCH, FEATURES)
    if not isinstance(x, Zeros) or x.first is not None or len(places) != 1 or not (whole and vector):
        raise refuse("writing anything but a vector into the first step of zeros")
    x.first, x.time = value, places[0]


@known("transpose", "swapaxes", "swapdims")
def transpose(reader: Any, x: Any, dim0: int, dim1: int) -> Value:
    """Two axes in each other's place."""
    x = reader.expect_value(x, "transpose")
    axes = list(x.axes)
    a, b = x.place(dim0), x.place(dim1)
    axes[a], axes[b] = axes[b], axes[a]
    return x.with_axes(tuple(axes))


@known("permute")
def permute(reader: Any, x: Any, *dims: Any) -> Value:
    """The axes in another order."""
    x = reader.expect_value(x, "permute")
    order = dims[0] if len(dims) == 1 and isinstance(dims[0], (tuple, list)) else dims
    return x.with_axes(tuple(x.axes[x.place(dim)] for dim in order))


@known("unsqueeze")
def unsqueeze(reader: Any, x: Any, dim: int) -> Value:
    """An axis of length 1 put in."""
    x = reader.expect_value(x, "unsqueeze")
    place = dim % (len(x.axes) + 1)
    return x.with_axes((*x.axes[:place], ONE, *x.axes[place:]))


@known("squeeze")
def squeeze(reader: Any, x: Any, dim: int | None = None) -> Value:
    """An axis of length 1 taken out; others stay."""
    x = reader.expect_value(x, "squeeze")
    if dim is None:
        raise refuse("squeeze() of all axes, which takes out a batch of 1 too,")
    axis = x.axes[x.place(dim)]
    if axis in (STATES, TIME) and x.length(axis) == 1:
        return index(reader, x, (*[slice(None)] * x.place(dim), 0))
    if axis in (BATCH, TIME):
        raise refuse(f"squeeze of the axis {axis}, which may be longer than 1,")
    if x.length(axis) != 1:
        return x
    return x.with_axes(tuple(a for place, a in enumerate(x.axes) if place != x.place(dim)))


@known("getitem")
def index(reader: Any, x: Any, at: Any) -> Any:
    """A part of a tuple, of states, or of a sequence."""
    if isinstance(x, (tuple, list, dict)):
        return x[at]
    x = reader.expect_value(x, "indexing")
    at = list(at) if isinstance(at, tuple) else [at]
    if Ellipsis in at:
        place = at.index(Ellipsis)
        given = sum(i is not None and i is not Ellipsis for i in at)
        at[place : place + 1] = [slice(None)] * (len(x.axes) - given)
    rest, kept, value = list(x.axes), [], x
    for i in at:
        if i is None:
            kept.append(ONE)
            continue
        axis = rest.pop(0)
        value, now = _part(reader, value, axis, i)
        kept += now
        if axis == LAYERS and not now:
            # The states of one layer: its directions.
            rest = [STATES if left == DIRECTIONS else left for left in rest]
    return value.with_axes(tuple([*kept, *rest]))


def _part(reader: Any, x: Value, axis: str, i: Any) -> tuple[Value, list[str]]:
    """One axis of an index: the value, and what is left of the axis."""
    if i == slice(None):
        return x, [axis]
    if isinstance(i, Size) and i.axis == axis and i.offset < 0:
        i = i.offset
    length = x.length(axis)
    bounds = None
    if isinstance(i, slice) and i.step in (None, 1) and isinstance(length, int):
        bounds = i.indices(length)[:2]
    single = isinstance(i, int) and not isinstance(i, bool)
    if axis == TIME and isinstance(i, slice) and i == slice(-1, None):
        part, _ = _part(reader, x, axis, -1)
        return part, [ONE]
    if axis == TIME and single:
        return reader.emit("select", [x], x, kind="vector", count=None, key_step=i), []
    if axis == STATES and single:
        state = range(length)[i]
        return reader.emit("select", [x], x, kind="vector", count=None, key_state=state), []
    if axis == STATES and bounds and bounds[0] < bounds[1]:
        count = bounds[1] - bounds[0]
        return reader.emit("select", [x], x, count=count, key_states=list(bounds)), [STATES]
    if axis == LAYERS and single:
        layer = range(length)[i]
        states = [layer * x.directions, (layer + 1) * x.directions]
        part = reader.emit("select", [x], x, count=x.directions, directions=1, key_states=states)
        return part, []
    if axis == FEATURES and bounds and bounds[0] < bounds[1]:
        features = bounds[1] - bounds[0]
        return reader.emit("select", [x], x, features=features, key_features=list(bounds)), [FEATURES]
    if axis == FEATURES and single and x.features == 1 and i in (0, -1):
        return x, []
    if axis == ONE and single and i in (0, -1):
        return x, []
    raise refuse(f"the part {i} of the axis {axis}")


@known("cat", "concat", "concatenate")
def cat(reader: Any, tensors: Any, dim: int = 0, axis: int | None = None) -> Any:
    """Tensors behind each other."""
    dim = dim if axis is None else axis
    if any(isinstance(t, Zeros) for t in tensors):
        return _padded(reader, list(tensors), dim)
    values = [reader.expect_value(t, "cat") for t in tensors]
    if any(v.axes != values[0].axes for v in values):
        raise refuse(f"cat of tensors with the axes {[v.axes for v in values]}")
    first = values[0]
    along = first.axes[first.place(dim)]
    if len(values) == 1:
        return first
    if along == FEATURES:
        features = sum(v.features for v in values)
        return reader.emit("concat", values, first, features=features)
    if along == STATES or along == ONE and first.axes == (ONE, BATCH, FEATURES):
        return _stacked(reader, values)
    raise refuse(f"cat along the axis {along}")


def _stacked(reader: Any, values: list[Value]) -> Value:
    count = sum(v.count if v.kind == "states" else 1 for v in values)
    return reader.emit("stack", values, values[0], kind="states", count=count, axes=(STATES, BATCH, FEATURES))


def _padded(reader: Any, tensors: list[Any], dim: int) -> Zeros:
    """A vector as the first step before zeros."""
    first, *others = tensors
    ok = isinstance(first, Value) and first.kind == "vector" and len(others) == 1
    if not ok or first.axes[first.place(dim)] != ONE or not isinstance(others[0], Zeros):
        raise refuse("cat of zeros with anything but one vector before them")
    place, shape = first.place(dim), list(others[0].shape)
    if not isinstance(shape[place], int):
        raise refuse("cat with zeros of a length that is no number")
    shape[place] += 1
    axes = tuple(axis for axis in first.axes if axis != ONE)
    return Zeros(tuple(shape), first.with_axes(axes), place)


@known("stack")
def stack(reader: Any, tensors: Any, dim: int = 0) -> Value:
    """Vectors as states."""
    values = [reader.expect_value(t, "stack") for t in tensors]
    if dim != 0 or any(v.axes != (BATCH, FEATURES) for v in values):
        raise refuse("stack of anything but vectors along a new first axis")
    return _stacked(reader, values)


@known("add", "iadd", "add_")
def add(reader: Any, x: Any, y: Any, alpha: float = 1) -> Any:
    """A sum."""
    if isinstance(x, Size) or isinstance(y, Size):
        return x + y if isinstance(x, Size) else y + x
    if isinstance(x, (int, float)) and isinstance(y, (int, float)):
        return x + alpha * y
    if alpha != 1:
        raise refuse(f"add with alpha={alpha}")
    return _combined(reader, "add", x, y)


@known("mul", "imul", "mul_", "multiply")
def multiply(reader: Any, x: Any, y: Any) -> Any:
    """A product, number by number."""
    if isinstance(x, (int, float)) and isinstance(y, (int, float)):
        return x * y
    return _combined(reader, "multiply", x, y)


@known("sub", "isub", "sub_", "subtract")
def subtract(reader: Any, x: Any, y: Any) -> Any:
    """A difference."""
    if isinstance(x, Size):
        return x - y
    if isinstance(x, (int, float)) and isinstance(y, (int, float)):
        return x - y
    if isinstance(y, (int, float)):
        return reader.scaled(reader.expect_value(x, "sub"), 1.0, -y)
    if isinstance(y, Held):
        return _combined(reader, "add", x, Held(-y.tensor, y.path))
    return _combined(reader, "add", x, negative(reader, y))


@known("neg")
def negative(reader: Any, x: Any) -> Any:
    """The negative."""
    return -x if isinstance(x, (int, float)) else reader.scaled(reader.expect_value(x, "neg"), -1.0, 0.0)


@known("truediv", "div", "divide")
def divide(reader: Any, x: Any, y: Any) -> Any:
    """A tensor divided by a number."""
    if not isinstance(y, (int, float)):
        raise refuse("a division by a tensor")
    return (
        x / y if isinstance(x, (int, float)) else reader.scaled(reader.expect_value(x, "div"), 1.0 / y, 0.0)
    )


@known("floordiv")
def floor_divide(reader: Any, x: Any, y: Any) -> Any:
    """Of two numbers."""
    if isinstance(x, int) and isinstance(y, int):
        return x // y
    raise refuse("a floor division of tensors")


def _combined(reader: Any, op: str, x: Any, y: Any) -> Any:
    if isinstance(x, (int, float, Held)):
        x, y = y, x
    if isinstance(y, Held):
        return applied(reader, op, reader.expect_value(x, op), y)
    if isinstance(y, (int, float)):
        x = reader.expect_value(x, op)
        return reader.scaled(x, *((1.0, y) if op == "add" else (y, 0.0)))
    if isinstance(x, Zeros) or isinstance(y, Zeros):
        other = y if isinstance(x, Zeros) else x
        nought = x if isinstance(x, Zeros) else y
        if op == "add" and nought.first is None and isinstance(other, Value):
            return other
        raise refuse(f"{op} of zeros")
    x, y = reader.expect_value(x, op), reader.expect_value(y, op)
    if x.axes != y.axes or x.features != y.features or x.kind != y.kind or x.count != y.count:
        raise refuse(f"{op} of tensors {x.shape()} and {y.shape()} with the axes {x.axes} and {y.axes}")
    return reader.emit(op, [x, y], x)


@known("mean")
def mean(reader: Any, x: Any, dim: Any = None, keepdim: bool = False) -> Value:
    """The mean over time."""
    return _over_time(reader, "mean_time", "mean", x, dim, keepdim)


@known("amax")
def amax(reader: Any, x: Any, dim: Any = None, keepdim: bool = False) -> Value:
    """The maximum over time."""
    return _over_time(reader, "max_time", "amax", x, dim, keepdim)


@known("max")
def maximum(reader: Any, x: Any, dim: Any = None, keepdim: bool = False) -> tuple:
    """The maximum over time; where it is, is not told."""
    return _over_time(reader, "max_time", "max", x, dim, keepdim), Unknown("the place of a maximum")


def _over_time(reader: Any, op: str, name: str, x: Any, dim: Any, keepdim: bool) -> Value:
    x = reader.expect_value(x, name)
    dim = dim[0] if isinstance(dim, (tuple, list)) and len(dim) == 1 else dim
    if not isinstance(dim, int) or x.axes[x.place(dim)] != TIME:
        raise refuse(f"{name} over anything but the axis of time")
    put = (ONE,) if keepdim else ()
    axes = (*x.axes[: x.place(dim)], *put, *x.axes[x.place(dim) + 1 :])
    return reader.emit(op, [x], x, kind="vector", count=None, axes=axes)


@known("expand")
def expand(reader: Any, x: Any, *sizes: Any) -> Value:
    """A vector as every step of a sequence, or a tensor of the module in every row of the batch."""
    return over_the_batch(reader, x, sizes, False) if isinstance(x, Held) else _steps(reader, x, sizes)


@known("repeat")
def repeat(reader: Any, x: Any, *sizes: Any) -> Value:
    """The same; of a tensor of the module each size says how often."""
    return over_the_batch(reader, x, sizes, True) if isinstance(x, Held) else _steps(reader, x, sizes)


def _steps(reader: Any, x: Any, sizes: tuple) -> Value:
    x = reader.expect_value(x, "repeat")
    sizes = tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes
    places = [place for place, axis in enumerate(x.axes) if axis == ONE]
    if x.kind != "vector" or len(places) != 1 or len(sizes) != len(x.axes):
        raise refuse("repeat or expand of anything but a vector with one axis of length 1")
    others = [n for place, n in enumerate(sizes) if place != places[0]]
    steps = sizes[places[0]]
    allowed = [1, -1, Size(BATCH), x.features]
    if not isinstance(steps, int) or steps < 1 or any(n not in allowed for n in others):
        raise refuse(f"repeat or expand to {sizes}, where the steps are no number,")
    axes = tuple(TIME if axis == ONE else axis for axis in x.axes)
    return reader.emit("repeat", [x], x, kind="sequence", count=steps, axes=axes, key_steps=steps)


@known("flatten")
def flatten(reader: Any, x: Any, start_dim: int = 0, end_dim: int = -1) -> Value:
    """Axes behind each other."""
    x = reader.expect_value(x, "flatten")
    start, end = x.place(start_dim), x.place(end_dim)
    if start == end:
        return x
    return _joined(reader, x, start, end)


def _joined(reader: Any, x: Value, start: int, end: int) -> Value:
    """Axes `start` to `end` as one."""
    group = x.axes[start : end + 1]
    before, after = x.axes[:start], x.axes[end + 1 :]
    rest = tuple(axis for axis in group if axis != ONE)
    if len(rest) == 1:
        return x.with_axes((*before, *rest, *after))
    if rest == (STATES, FEATURES):
        parts = [index(reader, x.with_axes((STATES, BATCH, FEATURES)), i) for i in range(x.count or 0)]
        whole = cat(reader, parts, -1)
        return whole.with_axes((*before, FEATURES, *after))
    if rest == (TIME, FEATURES) and x.count is not None:
        features = x.count * x.features
        axes = (*before, FEATURES, *after)
        return reader.emit("flatten", [x], x, kind="vector", count=None, features=features, axes=axes)
    if set(rest) == {BATCH, TIME}:
        return x.with_axes((*before, ROWS, *after), rows=rest)
    raise refuse(f"joining the axes {group}")


@known("view", "reshape")
def view(reader: Any, x: Any, *sizes: Any) -> Value:
    """Other axes of the same numbers, where it is plain which they are."""
    x = reader.expect_value(x, "view")
    sizes = tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes
    shape = x.shape()
    if len(sizes) == len(shape) and all(a == b or a == -1 for a, b in zip(sizes, shape)):
        return x
    if ROWS in x.axes and len(sizes) == len(x.axes) + 1:
        place = x.axes.index(ROWS)
        wanted = [x.length(axis) if axis != TIME or x.count is None else x.count for axis in x.rows]
        rest_given, rest = sizes[place + 2 :], shape[place + 1 :]
        if _fits(sizes[place : place + 2], wanted) and _fits(rest_given, rest):
            return x.with_axes((*x.axes[:place], *x.rows, *x.axes[place + 1 :]), rows=())
    if STATES in x.axes and len(sizes) == len(shape) + 1 and x.axes[0] == STATES:
        layers, directions = sizes[:2]
        known_sizes = [n for n in (layers, directions) if isinstance(n, int) and n > 0]
        if len(known_sizes) == 1:
            layers, directions = (
                ((x.count or 0) // directions, directions)
                if layers == -1
                else (layers, (x.count or 0) // layers)
            )
        if isinstance(layers, int) and layers * directions == x.count and _fits(sizes[2:], shape[1:]):
            return x.with_axes((LAYERS, DIRECTIONS, *x.axes[1:]), directions=directions)
    if len(sizes) == len(shape) - 1:
        for place in range(len(sizes)):
            others = [*shape[:place], *shape[place + 2 :]]
            given = [*sizes[:place], *sizes[place + 1 :]]
            if _fits(given, others, exact=True) and _product_fits(sizes[place], shape[place : place + 2]):
                return _joined(reader, x, place, place + 1)
    if len(sizes) == len(shape) + 1 and 1 in sizes:
        place = list(sizes).index(1)
        if _fits([*sizes[:place], *sizes[place + 1 :]], shape):
            return unsqueeze(reader, x, place)
    raise refuse(f"view or reshape of {shape} to {sizes}")


def _fits(given: Any, lengths: Any, exact: bool = False) -> bool:
    """Whether lengths are these, of which one may be -1."""
    allowed = 0 if exact else 1
    pairs = list(zip(given, lengths))
    free = sum(a == -1 for a, _ in pairs)
    return len(given) == len(lengths) and free <= allowed and all(a in (-1, b) for a, b in pairs)


def _product_fits(given: Any, lengths: Any) -> bool:
    if given == -1:
        return True
    a, b = lengths
    return isinstance(a, int) and isinstance(b, int) and given == a * b

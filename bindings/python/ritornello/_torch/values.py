"""What stands for a tensor while a traced module is read: which value of the model, and its axes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

#: Axes of a value. `one` has length 1 and is in no array of the model; `rows` is batch and time
#: behind each other; `layers` and `directions` are states in two axes.
BATCH, TIME, STATES, FEATURES, ONE = "batch", "time", "states", "features", "one"
ROWS, LAYERS, DIRECTIONS = "rows", "layers", "directions"


@dataclass(frozen=True)
class Value:
    """A tensor that is a value of the model, seen with its axes in some order."""

    #: The name in the specification.
    name: str
    #: sequence, vector or states
    kind: str
    features: int
    axes: tuple[str, ...]
    #: The number of states, or of steps where they are fixed.
    count: int | None = None
    #: Directions, of states seen as layers and directions.
    directions: int = 1
    is_index: bool = False
    #: Of `rows`: the order in which batch and time were.
    rows: tuple[str, ...] = ()

    def place(self, axis: int) -> int:
        """An axis counted from the front."""
        rank = len(self.axes)
        if not isinstance(axis, int) or not -rank <= axis < rank:
            raise IndexError(f"axis {axis!r} of {len(self.axes)} axes")
        return axis % rank

    def with_axes(self, axes: tuple[str, ...], **changes: Any) -> Value:
        """The same value with other axes."""
        return replace(self, axes=tuple(axes), **changes)

    def length(self, axis: str) -> Any:
        """The length of an axis: a number, or a `Size`."""
        if axis == ONE:
            return 1
        if axis == FEATURES:
            return self.features
        if axis == STATES:
            return self.count
        if axis == LAYERS:
            return (self.count or 0) // self.directions
        if axis == DIRECTIONS:
            return self.directions
        if axis == TIME and self.count is not None:
            return self.count
        return Size(axis)

    def shape(self) -> tuple[Any, ...]:
        """The lengths of all axes."""
        return tuple(self.length(axis) for axis in self.axes)


@dataclass(frozen=True)
class Size:
    """The length of the batch or of time, which is known only when the model is called."""

    axis: str
    offset: int = 0

    def __add__(self, other: Any) -> Any:
        return replace(self, offset=self.offset + other) if isinstance(other, int) else NotImplemented

    def __sub__(self, other: Any) -> Any:
        return replace(self, offset=self.offset - other) if isinstance(other, int) else NotImplemented


@dataclass
class Zeros:
    """A tensor of zeros, perhaps with a vector written into its first step."""

    shape: tuple[Any, ...]
    first: Value | None = None
    #: The axis of time, once there is a first step.
    time: int | None = None


@dataclass(frozen=True)
class Unknown:
    """Something that is not computed here, and may not be used."""

    what: str


def natural_axes(value: Value, batch_first: bool) -> tuple[str, ...]:
    """The axes that the model's own array of a value has."""
    if value.kind == "vector":
        return (BATCH, FEATURES)
    if value.kind == "states":
        return (STATES, BATCH, FEATURES)
    return (BATCH, TIME, FEATURES) if batch_first else (TIME, BATCH, FEATURES)

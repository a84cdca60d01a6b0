"""The call of a traced module: its arguments by name, its results in its own structure and axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from .._arrays import lengths_of
from .._keras import arranged
from .._ritornello import Error
from .calls import arguments, moved


@dataclass(frozen=True)
class Arrangement:
    """How an array of the model becomes the tensor that the module returns."""

    #: The order of the model's axes.
    order: tuple[int, ...]
    #: Then, where that is not all: of each axis the model's axes that it is made of.
    joined: tuple[tuple[int, ...], ...] | None = None
    #: Of states in two axes: the directions.
    directions: int | None = None
    #: The axis that is only as long as the longest row.
    trimmed: int | None = None

    def of(self, array: Any, longest: int | None = None) -> Any:
        """The tensor."""
        array = self._turned(array)
        if self.trimmed is None or longest is None:
            return array
        return array[(slice(None),) * self.trimmed + (slice(longest),)]

    def _turned(self, array: Any) -> Any:
        if self.directions is not None:
            shape = tuple(array.shape)
            array = array.reshape(shape[0] // self.directions, self.directions, *shape[1:])
        if self.order != tuple(range(len(self.order))):
            array = moved(array, self.order)
        if self.joined is None:
            return array
        lengths = tuple(array.shape)
        shape = []
        for group in self.joined:
            length = 1
            for axis in group:
                length *= lengths[axis]
            shape.append(length)
        return array.reshape(shape)


@dataclass(frozen=True)
class GraphCall:
    """The call of a module that was traced."""

    #: whether a stream gives the first output alone
    streams_first: ClassVar[bool] = False

    names: tuple[str, ...]
    #: How the results lie in each other.
    form: Any
    arrangements: tuple[Arrangement, ...]
    #: The argument that says the lengths of rows.
    lengths: str | None = None
    #: Arguments that are pairs (h_0, c_0).
    pairs: tuple[str, ...] = ()

    def call(self, model: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        lengths = None if self.lengths == "lengths" else kwargs.pop("lengths", None)
        arrays = arguments(args, kwargs, self.names)
        for name, array in zip(self.names, arrays):
            if array is None:
                raise Error(f"input '{name}' is missing, expected an array")
        longest = None
        if self.lengths is not None:
            lengths = lengths_of(arrays[self.names.index(self.lengths)])
            longest = max(lengths, default=0)
        given = [x for name, x in zip(self.names, arrays) for x in self._parts(name, x)]
        results = model.run(given, lengths=lengths)
        return arranged(self.form, [how.of(x, longest) for how, x in zip(self.arrangements, results)])

    def _parts(self, name: str, x: Any) -> Any:
        """The arrays of the model that an argument is."""
        if name == self.lengths:
            return ()
        if name not in self.pairs:
            return (x,)
        if not isinstance(x, (tuple, list)) or len(x) != 2:
            raise Error(f"input '{name}' is {type(x).__name__}, expected the tuple (h_0, c_0)")
        return x

    def streamed(self, results: list[Any]) -> Any:
        """What a stream gives for a piece: the model's own arrays in the module's structure."""
        return arranged(self.form, results)

"""The call of a traced module: its arguments by name, its results in its own structure and axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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

    def of(self, array: Any) -> Any:
        """The tensor."""
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

    names: tuple[str, ...]
    #: How the results lie in each other.
    form: Any
    arrangements: tuple[Arrangement, ...]

    def call(self, model: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        lengths = kwargs.pop("lengths", None)
        arrays = arguments(args, kwargs, self.names)
        for name, array in zip(self.names, arrays):
            if array is None:
                raise Error(f"input '{name}' is missing, expected an array")
        return self._given(model.run(arrays, lengths=lengths))

    def _given(self, results: list[Any]) -> Any:
        return arranged(self.form, [how.of(x) for how, x in zip(self.arrangements, results)])

    def streamed(self, results: list[Any]) -> Any:
        """What a stream gives for a piece: the model's own arrays in the module's structure."""
        return arranged(self.form, results)

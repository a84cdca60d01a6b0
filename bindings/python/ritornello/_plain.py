"""The call of a model from a file: inputs in order or by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Mapping

import numpy as np

from ._ritornello import Error, UnsupportedError


def by_position(model: Any, args: tuple) -> list[Any]:
    """The inputs in the model's order, from one array, several, a list, or arrays by name."""
    if len(args) == 1 and type(args[0]) is np.ndarray:
        return [args[0]]
    if len(args) == 1 and isinstance(args[0], Mapping):
        given = dict(args[0])
        names = [end.name for end in model.inputs]
        for name in given:
            if name not in names:
                raise Error(f"there is no input '{name}'; there are: {', '.join(names)}")
        for name in names:
            if name not in given:
                raise Error(f"input '{name}' is missing; given are: {', '.join(given)}")
        return [given[name] for name in names]
    if len(args) == 1 and isinstance(args[0], (list, tuple)):
        # With one input, a list may be its numbers, or it in a list.
        count = len(model.inputs)
        if count > 1 or len(args[0]) == 1 and np.ndim(args[0][0]) == len(model.inputs[0].axes):
            return list(args[0])
    return list(args)


def kept_states() -> UnsupportedError:
    """The error that a call would have to begin where the last one ended."""
    return UnsupportedError(
        "layers of this model are stateful=True: their states go on from call to call, and a model "
        "here has none of its own; use stream = fast.stream(batch) and stream.run(x), and "
        "stream.reset() for reset_states()"
    )


@dataclass(frozen=True)
class Plain:
    """`model(x)`, `model(x, y)`, `model([x, y])`, `model({"x": x, "y": y})`.

    The result is one array, or a list where there are several outputs.
    """

    #: whether a stream gives the first output alone
    streams_first: ClassVar[bool] = False

    #: Whether layers of a Keras model keep their states from call to call.
    stateful: bool = False

    def call(self, model: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        if self.stateful:
            raise kept_states()
        out = kwargs.pop("out", None)
        counting = {key: kwargs.pop(key, None) for key in ("lengths", "mask")}
        arrays = by_position(model, (kwargs,) if kwargs and not args else args)
        if kwargs and args:
            raise TypeError(f"the call got an unexpected argument {sorted(kwargs)[0]!r}")
        if out is not None and not isinstance(out, (list, tuple)):
            out = [out]
        results = model.run(arrays, **counting, out=out)
        return results[0] if len(results) == 1 else results

    def streamed(self, results: list[Any]) -> Any:
        """What a stream gives for a piece."""
        return results[0] if len(results) == 1 else results

"""`Stream`: a sequence that is given piece by piece."""

from __future__ import annotations

from typing import Any, Mapping

import numpy as np

from ._arrays import same_kind, torch_tensor
from ._ritornello import Error


class Stream:
    """The states of `batch` rows, which live from call to call.

    What it gives is, to the bit, what the model gives for the whole sequence. One thread at a time
    may use it: a second one gets an error.
    """

    def __init__(self, model: Any, batch: int, max_time: int = 1) -> None:
        for name, value in (("batch", batch), ("max_time", max_time)):
            if not isinstance(value, (int, np.integer)) or value < 1:
                raise Error(f"{name} is {value!r}, expected a count from 1 on")
        self._model = model
        self._batch = int(batch)
        first_alone = model._convention.streams_first
        self._native = model._plan.stream(self._batch, int(max_time), first_alone)
        self._single = len(model.inputs) == 1 and (first_alone or len(model.outputs) == 1)
        self._step_row = self._native.step_row

    @property
    def batch(self) -> int:
        """The rows."""
        return self._batch

    def step(self, x: Any, *more: Any, out: np.ndarray | None = None) -> Any:
        """Takes one step of every row: `x` is `[batch, features]`, and so is what comes back."""
        if self._single and not more and type(x) is np.ndarray:
            try:
                found = self._step_row(x, out)
            except TypeError:
                pass  # other numbers, or something that does not fit: that is said below
            else:
                return out if found is None else found
        return self._call(self._native.step, (x, *more), out, True)

    def run(self, x: Any, *more: Any, out: np.ndarray | None = None) -> Any:
        """Takes any number of steps: arrays as the model takes them."""
        return self._call(self._native.run, (x, *more), out, False)

    __call__ = run

    def _call(self, native: Any, args: tuple, out: Any, step: bool) -> Any:
        taken = self._model._take(args)
        try:
            found = native(taken, None if out is None else [out])
        except Error:
            problem = self._misfit(taken, step)
            if problem is None:
                raise
            raise Error(problem) from None
        if found is None:
            return out
        as_torch = any(torch_tensor(x) for x in args)
        return self._model._convention.streamed([same_kind(y, as_torch) for y in found])

    def _misfit(self, taken: list[np.ndarray], step: bool) -> str | None:
        for end, array in zip(self._model.inputs, taken):
            shape = list(array.shape)
            if step and end.kind == "sequence":
                labels = end.labels()
                if len(shape) + 1 == len(labels):
                    shape.insert(labels.index("time"), 1)
                else:
                    axes = [f"batch {self._batch}"] + ([] if end.is_index else [f"features {end.axes[-1]}"])
                    return f"input '{end.name}': got {shape}, expected one step [{', '.join(axes)}]"
            problem = end.misfit(shape)
            if problem is None and shape[end.batch()] != self._batch:
                problem = f"batch {self._batch} as the stream has"
            if problem is not None:
                return f"input '{end.name}': got {end.described(shape)}, expected {problem}"
        return None

    def reset(self) -> None:
        """Forgets everything: all states are zero again."""
        self._native.reset()

    @property
    def state(self) -> dict[str, np.ndarray]:
        """The states by name, `[directions, batch, features]`; copies. It can be set."""
        return dict(self._native.state())

    @state.setter
    def state(self, states: Mapping[str, Any]) -> None:
        taker = self._model._taker
        self._native.set_state([(name, taker.numbers(x, name)) for name, x in states.items()])

"""`Model`: what `load`, `from_keras`, `from_torch` and the constructors give."""

from __future__ import annotations

import os
import weakref
from typing import Any, Callable, Sequence

import numpy as np

from . import _ritornello
from ._arrays import Taker, is_f32, lengths_of, mask_of, same_kind, torch_tensor
from ._ends import End, ends, misfits
from ._plain import Plain
from ._ritornello import Error
from ._stream import Stream
from ._summary import summary_text


class Model:
    """A network that is ready to run, called like the one it was made from.

    Any number of threads may call it at once; while it runs, Python's lock is released.
    """

    def __init__(
        self,
        native: _ritornello.Model,
        convention: Any = None,
        *,
        threads: int | None = None,
        isa: str | None = None,
        precision: str | None = None,
        tune: str | None = None,
        origin: Any = None,
    ) -> None:
        self._native = native
        self._convention = Plain() if convention is None else convention
        self._options = {"threads": threads, "isa": isa, "precision": precision, "tune": tune}
        self._plan = native.plan(**self._options)
        self._inputs = ends(native.inputs)
        self._outputs = ends(native.outputs)
        self._taker = Taker()
        self._origin = _weak(origin)

    @property
    def inputs(self) -> list[End]:
        """The inputs, in the order in which they are given."""
        return self._inputs

    @property
    def outputs(self) -> list[End]:
        """The outputs, in the order in which they are returned."""
        return self._outputs

    @property
    def is_causal(self) -> bool:
        """Whether a sequence may be given in pieces (`stream`)."""
        return self._native.is_causal

    @property
    def parameters(self) -> int:
        """The number of weights and biases."""
        return self._native.parameters

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs whole sequences from fresh states, with the arguments of the original."""
        return self._convention.call(self, args, kwargs)

    def predict(self, x: Any, batch_size: int | None = None, **ignored: Any) -> Any:
        """As `predict` of Keras: the call itself, whatever the size of the batch."""
        unknown = set(ignored) - {"verbose", "steps"}
        if unknown:
            raise TypeError(f"predict() got an unexpected argument {sorted(unknown)[0]!r}")
        return self(x)

    def run(
        self,
        arrays: Sequence[Any],
        *,
        lengths: Any = None,
        mask: Any = None,
        state: list[tuple[str, np.ndarray]] | None = None,
        out: Sequence[np.ndarray] | None = None,
    ) -> list[Any]:
        """One array for each input, in their order; gives one for each output.

        Of row r the first `lengths[r]` steps count, or those where `mask` [batch, time] is true;
        outputs that are sequences are zero at the others. `out` holds arrays to write into.
        Results are tensors of PyTorch if an input is one.
        """
        taken = self._take(arrays)
        truths = None if mask is None else mask_of(mask)
        counts = None if lengths is None else lengths_of(lengths)
        into = None if out is None else [_writable(array) for array in out]
        try:
            found = self._plan.run(taken, counts, truths, state, into)
        except Error:
            problem = misfits(self._inputs, taken)
            if problem is None:
                raise
            raise Error(problem) from None
        if found is None:
            return list(out or [])
        as_torch = any(torch_tensor(array) for array in arrays)
        return [same_kind(array, as_torch) for array in found] if as_torch else found

    def _take(self, arrays: Sequence[Any]) -> list[np.ndarray]:
        if len(arrays) != len(self._inputs):
            names = ", ".join(f"{end.name} {end}" for end in self._inputs)
            raise Error(f"got {len(arrays)} inputs, expected {len(self._inputs)}: {names}")
        return [
            array
            if is_f32(array) and not end.is_index
            else self._taker.indices(array, end.name)
            if end.is_index
            else self._taker.numbers(array, end.name)
            for end, array in zip(self._inputs, arrays)
        ]

    def stream(self, batch: int = 1, max_time: int = 1) -> Stream:
        """A sequence of each of `batch` rows, given piece by piece, whose states live on.

        `max_time` is for how many steps at once there are buffers; longer pieces go in parts.
        """
        return Stream(self, batch, max_time)

    def verify(self, x: Any, *more: Any, **options: Any) -> Any:
        """Runs the model it was made from on the same data: see `ritornello.verify`."""
        from ._verify import verify

        return verify(self._original(), x, *more, fast=self, **options)

    def bench(self, x: Any, *more: Any, **options: Any) -> Any:
        """Times the model it was made from beside it: see `ritornello.bench`."""
        from ._bench import bench

        return bench(self._original(), x, *more, fast=self, **options)

    def _original(self) -> Any:
        origin = self._origin() if self._origin is not None else None
        if origin is None:
            raise Error(
                "the model that this one was made from is not here any more (or it came from a "
                "file); give it yourself: ritornello.verify(model, x, fast=this)"
            )
        return origin

    def summary(self, print_fn: Callable[[str], Any] = print) -> None:
        """Prints the layers, their shapes and parameters, as Keras does."""
        print_fn(summary_text(self))

    def explain(self) -> str:
        """What was chosen for this machine: kernels, threads, bytes of packed weights."""
        return self._plan.explain()

    def spec(self) -> str:
        """What is computed, as JSON (docs/spec.schema.json)."""
        return self._native.spec()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes it as `.safetensors`, which `load` and the command `ritornello` read."""
        self._native.save(path)

    def __reduce__(self) -> tuple:
        state = (self._native.to_bytes(), self._convention, self._options)
        return _unpickled, state

    def __repr__(self) -> str:
        def named(all: list[End]) -> str:
            return ", ".join(f"{end.name} {end}" for end in all)

        return f"<ritornello.Model {named(self._inputs)} -> {named(self._outputs)}>"


def _unpickled(data: bytes, convention: Any, options: dict[str, Any]) -> Model:
    return Model(_ritornello.Model.from_bytes(data), convention, **options)


def _weak(origin: Any) -> weakref.ref | None:
    try:
        return None if origin is None else weakref.ref(origin)
    except TypeError:
        return None


def _writable(array: Any) -> np.ndarray:
    """Memory for a result: float32, contiguous."""
    if torch_tensor(array):
        if array.requires_grad:
            raise Error("a tensor of out requires a gradient; give one that does not")
        array = array.numpy()
    if not is_f32(array) or not array.flags.writeable:
        found = f"{getattr(array, 'dtype', type(array).__name__)}"
        raise Error(f"out is {found}, expected a contiguous float32 array that can be written")
    return array

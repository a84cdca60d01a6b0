"""The extension module: models, plans and streams on NumPy's arrays."""

from os import PathLike
from typing import Sequence

import numpy as np
from numpy.typing import NDArray

__version__: str

F32 = NDArray[np.float32]
Tensors = Sequence[tuple[str, F32]]
#: Name, kind, axes, whether it holds indices.
End = tuple[str, str, list[str], bool]

class Error(ValueError):
    """Something that does not fit; says what."""

class UnsupportedError(Error):
    """Known, but not run here; says what to do."""

class Model:
    """What is computed, with its weights."""

    @staticmethod
    def load(path: str | PathLike[str], spec: str | None = None) -> Model: ...
    @staticmethod
    def from_bytes(bytes: bytes) -> Model: ...
    @staticmethod
    def from_spec(spec: str, tensors: Tensors) -> Model: ...
    @staticmethod
    def from_keras(config: str, version: str, tensors: Tensors, mask: bool) -> Model: ...
    def to_bytes(self) -> bytes: ...
    def save(self, path: str | PathLike[str]) -> None: ...
    def spec(self) -> str: ...
    @property
    def inputs(self) -> list[End]: ...
    @property
    def outputs(self) -> list[End]: ...
    @property
    def is_causal(self) -> bool: ...
    @property
    def parameters(self) -> int: ...
    def plan(
        self, threads: int | None = None, isa: str | None = None, precision: str | None = None
    ) -> Plan: ...

class Plan:
    """A model that is ready to run on this machine."""

    def run(
        self,
        inputs: Sequence[NDArray[np.float32] | NDArray[np.int32]],
        lengths: Sequence[int] | None = None,
        mask: NDArray[np.bool_] | None = None,
        state: Tensors | None = None,
        out: Sequence[F32] | None = None,
    ) -> list[F32] | None: ...
    def stream(self, batch: int, max_time: int) -> Stream: ...
    def explain(self) -> str: ...
    def stages(self) -> list[tuple[str, str, str, int, str, int]]: ...
    @property
    def isa(self) -> str: ...
    @property
    def precision(self) -> str: ...
    @property
    def threads(self) -> int: ...
    @property
    def is_causal(self) -> bool: ...

class Stream:
    """States that live from call to call, for a fixed batch."""

    @property
    def batch(self) -> int: ...
    def run(
        self,
        inputs: Sequence[NDArray[np.float32] | NDArray[np.int32]],
        out: Sequence[F32] | None = None,
    ) -> list[F32] | None: ...
    def step(
        self,
        inputs: Sequence[NDArray[np.float32] | NDArray[np.int32]],
        out: Sequence[F32] | None = None,
    ) -> list[F32] | None: ...
    def reset(self) -> None: ...
    def state(self) -> list[tuple[str, F32]]: ...
    def set_state(self, state: Tensors) -> None: ...

"""The extension module: models, plans and streams on NumPy's arrays."""

from os import PathLike
from typing import Sequence, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

__version__: str

_F32: TypeAlias = NDArray[np.float32]
_Tensors: TypeAlias = Sequence[tuple[str, _F32]]
#: Name, kind, axes, whether it holds indices.
_End: TypeAlias = tuple[str, str, list[str], bool]

class Error(ValueError):
    """Something that does not fit; says what."""

class UnsupportedError(Error):
    """Known, but not run here; says what to do."""

@final
class Model:
    """What is computed, with its weights."""

    @staticmethod
    def load(path: str | PathLike[str], spec: str | None = None) -> Model: ...
    @staticmethod
    def from_bytes(bytes: bytes) -> Model: ...
    @staticmethod
    def from_spec(spec: str, tensors: _Tensors) -> Model: ...
    @staticmethod
    def from_keras(config: str, version: str, tensors: _Tensors, mask: bool) -> Model: ...
    def to_bytes(self) -> bytes: ...
    def save(self, path: str | PathLike[str]) -> None: ...
    def spec(self) -> str: ...
    @property
    def inputs(self) -> list[_End]: ...
    @property
    def outputs(self) -> list[_End]: ...
    @property
    def is_causal(self) -> bool: ...
    @property
    def is_stateful(self) -> bool: ...
    @property
    def parameters(self) -> int: ...
    def plan(
        self,
        threads: int | None = None,
        isa: str | None = None,
        precision: str | None = None,
        tune: str | None = None,
    ) -> Plan: ...

@final
class Plan:
    """A model that is ready to run on this machine."""

    def run(
        self,
        inputs: Sequence[NDArray[np.float32] | NDArray[np.int32]],
        lengths: Sequence[int] | None = None,
        mask: NDArray[np.bool_] | None = None,
        state: _Tensors | None = None,
        out: Sequence[_F32] | None = None,
    ) -> list[_F32] | None: ...
    def stream(self, batch: int, max_time: int, first_alone: bool) -> Stream: ...
    def explain(self) -> str: ...
    def stages(self) -> list[tuple[str, str, str, int, str, int]]: ...
    @property
    def isa(self) -> str: ...
    @property
    def precision(self) -> str: ...
    @property
    def tune(self) -> str: ...
    @property
    def threads(self) -> int: ...
    @property
    def is_causal(self) -> bool: ...

@final
class Stream:
    """States that live from call to call, for a fixed batch."""

    @property
    def batch(self) -> int: ...
    def run(
        self,
        inputs: Sequence[NDArray[np.float32] | NDArray[np.int32]],
        out: Sequence[_F32] | None = None,
    ) -> list[_F32] | None: ...
    def step(
        self,
        inputs: Sequence[NDArray[np.float32] | NDArray[np.int32]],
        out: Sequence[_F32] | None = None,
    ) -> list[_F32] | None: ...
    def step_row(self, x: _F32, out: _F32 | None = None) -> _F32 | None: ...
    def reset(self) -> None: ...
    def state(self) -> list[tuple[str, _F32]]: ...
    def set_state(self, state: _Tensors) -> None: ...

"""`load`: models from files."""

from __future__ import annotations

import json
import os
from typing import Any, Mapping

from . import _ritornello
from ._model import Model
from ._plain import Plain


def load(
    path: str | os.PathLike[str],
    *,
    spec: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    threads: int | None = None,
    isa: str | None = None,
    precision: str | None = None,
    tune: str | None = None,
) -> Model:
    """Reads a model: `.keras`, `.h5`, `.onnx`, `.safetensors` that `save` wrote, `.nam`, or JSON of
    RTNeural, AIDA-X or GuitarML.

    `spec` completes a file of weights only (`.safetensors`, `.pt`, `.h5`, `.npz`, JSON): a dictionary, JSON, or the
    path of a JSON file. `threads` is for one call; without it `RITORNELLO_THREADS` says, else it is
    one. `isa` lowers the level: "portable", "avx2", "avx512"; `precision` is "f32",
    "f32-split", which is as exact and uses a matrix unit where the CPU has one, "bf16", which keeps weights of matrices
    in half the memory and multiplies them by inputs and states of bf16 where such a unit does, or "int8", which keeps
    those of recurrent layers in a quarter and multiplies them by inputs and states of 8 bits. `tune` is what kernels are
    chosen for where that leaves a choice: "latency" or "throughput".

    Raises `Error` (a `ValueError`) that says what is wrong in the file, `UnsupportedError` for what
    is known and not run here, `OSError` if it cannot be read.
    """
    text = None if spec is None else _json(spec)
    native = _ritornello.Model.load(path, text)
    # A file of this library is called from fresh states, as what it was saved from.
    of_keras = text is None and os.fspath(path).lower().endswith((".keras", ".h5", ".hdf5"))
    stateful = of_keras and native.is_stateful
    return Model(native, Plain(stateful), threads=threads, isa=isa, precision=precision, tune=tune)


def _json(spec: str | os.PathLike[str] | Mapping[str, Any]) -> str:
    if isinstance(spec, Mapping):
        return json.dumps(spec)
    if isinstance(spec, str) and spec.lstrip().startswith("{"):
        return spec
    with open(spec, encoding="utf-8") as file:
        return file.read()

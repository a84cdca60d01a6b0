"""The framework that a model is of, without importing one."""

from __future__ import annotations

import sys
from typing import Any, Callable


def is_torch(model: Any) -> bool:
    """Whether it is a module of PyTorch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(model, torch.nn.Module) and not is_keras(model)


def is_keras(model: Any) -> bool:
    """Whether it is a model of Keras, which with one backend is a module of PyTorch too."""
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(model, keras.Model)


def converted(model: Any) -> Any:
    """What this library makes of a live model."""
    if is_keras(model):
        from ._keras import from_keras

        return from_keras(model)
    if is_torch(model):
        from ._torch import from_torch

        return from_torch(model)
    raise TypeError(f"expected a Keras model or a module of PyTorch, not {type(model).__name__}")


def original_call(model: Any) -> Callable[..., Any]:
    """The model's own call for inference, its results as arrays."""
    if is_keras(model):
        keras = sys.modules["keras"]

        def call(*args: Any, **kwargs: Any) -> Any:
            results = model(*args, training=False, **kwargs)
            return keras.tree.map_structure(keras.ops.convert_to_numpy, results)

        return call
    if not is_torch(model):
        return model
    torch = sys.modules["torch"]

    def run(*args: Any, **kwargs: Any) -> Any:
        import numpy as np

        def tensor(x: Any) -> Any:
            if isinstance(x, np.ndarray):
                return torch.from_numpy(np.ascontiguousarray(x))
            if type(x) in (list, tuple):
                return type(x)(tensor(part) for part in x)
            return x

        with torch.inference_mode():
            return model(*(tensor(x) for x in args), **kwargs)

    return run

"""Recurrent networks (RNN, LSTM, GRU) on CPUs, from Keras and PyTorch models.

import ritornello

fast = ritornello.from_keras(model)     # or from_torch(module), load("model.keras")
y = fast(x)                             # called like the original
ritornello.verify(model, x)             # how far from it?
stream = fast.stream(batch=1)           # step by step, with the same bits
y_t = stream.step(x_t)
"""

from typing import Any

from ._bench import bench
from ._keras import from_keras
from ._load import load
from ._model import Model
from ._ritornello import Error, UnsupportedError, __version__
from ._stream import Stream
from ._torch import from_torch
from ._verify import Verification, verify
from ._weights import keras_gru, keras_lstm, keras_simple_rnn, torch_gru, torch_lstm, torch_rnn

__all__ = [
    "Error",
    "Model",
    "Stream",
    "UnsupportedError",
    "Verification",
    "__version__",
    "bench",
    "from_keras",
    "from_torch",
    "keras_gru",
    "keras_lstm",
    "keras_simple_rnn",
    "load",
    "torch_gru",
    "torch_lstm",
    "torch_rnn",
    "verify",
]


def __getattr__(name: str) -> Any:
    """`ritornello.torch` is imported when it is asked for: it needs PyTorch."""
    if name == "torch":
        import importlib

        return importlib.import_module(".torch", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

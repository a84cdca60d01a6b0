"""`from_torch`: modules of PyTorch."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from .._model import Model
from .._ritornello import Error, UnsupportedError
from .layout import Layout

#: Modules that have a layout; what is derived from one may compute something else.
RECURRENT = ("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell")


def from_torch(module: Any, example: Any = None, **options: Any) -> Model:
    """Makes a model from a module of PyTorch: a recurrent one, a cell, or a module around some.

    It is called like the original: same arguments, shapes and returned tuples; `PackedSequence` in
    and out. The weights are copied: train the original further and this one stays as it is.

    A module of your own is traced (`torch.fx`); recurrent modules stay whole. `example`, the
    argument of a call or a tuple of them, tells shapes that the modules do not, decides what `forward`
    asks of ranks, types and numbers of features (`if x.dim() == 3`), and is run through both to see
    that they agree. `options` are `threads`, `isa`, `precision` and `tune`, as for `load`.

    Raises `UnsupportedError` that names what is not run here: an operation, a Python loop over time,
    a module in training mode that drops out.
    """
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(module, torch.nn.Module):
        raise TypeError(f"from_torch takes a torch.nn.Module, not {type(module).__name__}")
    if isinstance(module, torch.jit.ScriptModule):
        raise UnsupportedError("a scripted module is not read: give the module it was made from")
    check_mode(module, torch)
    if is_recurrent(module, torch):
        layout = Layout.of_module(module)
        model = layout.model(tensors_of(module, layout.tensor_names()), options, module)
    else:
        from .trace import traced

        model = traced(module, example, options)
    if example is not None:
        _check_example(module, model, example)
    return model


def is_recurrent(module: Any, torch: Any) -> bool:
    """Whether it is exactly one of PyTorch's recurrent modules, or stands in the place of one."""
    in_place = type(module).__module__ == "ritornello.torch"
    return in_place or type(module) in [getattr(torch.nn, name) for name in RECURRENT]


def numbers(tensor: Any) -> np.ndarray:
    """A tensor of weights as float32."""
    return np.ascontiguousarray(tensor.detach().cpu().float().numpy())


def tensors_of(module: Any, names: list[str], prefix: str = "") -> dict[str, np.ndarray]:
    """Tensors of a module by name."""
    return {f"{prefix}{name}": numbers(getattr(module, name)) for name in names}


def check_mode(module: Any, torch: Any) -> None:
    """Refuses modules that compute something else in training than at inference."""
    for path, part in module.named_modules():
        label = f"'{path}' ({type(part).__name__})" if path else f"the module ({type(part).__name__})"
        if not part.training:
            continue
        drops = isinstance(part, torch.nn.modules.dropout._DropoutNd) and part.p > 0
        between = isinstance(part, torch.nn.RNNBase) and part.dropout > 0 and part.num_layers > 1
        if drops or between:
            raise UnsupportedError(
                f"{label} is in training mode, in which it drops numbers at random: call module.eval() first"
            )
        if isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
            raise UnsupportedError(
                f"{label} is in training mode, in which it uses the statistics of the batch: call "
                "module.eval() first"
            )


def _check_example(module: Any, model: Model, example: Any) -> None:
    """Runs both on the example."""
    from .._verify import verify

    args = example if type(example) is tuple else (example,)
    result = verify(module, *args, fast=model, print_fn=lambda text: None)
    if not result.passed:
        raise Error(f"on the example the module and what was made of it differ; please report this\n{result}")

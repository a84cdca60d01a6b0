"""Modules in the place of `nn.RNN`, `nn.LSTM` and `nn.GRU`: same constructor, `state_dict` and call.

    lstm = ritornello.torch.LSTM(16, 32, batch_first=True).eval()
    ritornello.torch.optimize(module)       # every recurrent module inside, in its place

They run in evaluation mode only and give no gradients. When their weights change, they are packed
again at the next call.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ._model import Model
from ._ritornello import UnsupportedError
from ._torch import numbers
from ._torch.layout import Layout


class _Fast:
    """What takes the place of `forward`."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        """As the module of PyTorch."""
        if self.training:
            raise UnsupportedError(
                f"ritornello.torch.{type(self).__name__} runs in evaluation mode only: call .eval()"
            )
        data = input.data if hasattr(input, "batch_sizes") else input
        if torch.is_grad_enabled() and data.requires_grad:
            raise UnsupportedError(
                f"ritornello.torch.{type(self).__name__} gives no gradients: call it under "
                "torch.no_grad(), or detach the input"
            )
        return self._packed_model()(input, hx)

    def _packed_model(self) -> Model:
        """The model of the weights as they are now."""
        mark = tuple((p.data_ptr(), p._version) for p in self.parameters())
        known = self.__dict__.get("_ritornello")
        if known is None or known[0] != mark:
            layout = Layout.of_module(self)
            names = layout.tensor_names()
            tensors = {name: numbers(getattr(self, name)) for name in names}
            known = (mark, layout.model(tensors, {}))
            self.__dict__["_ritornello"] = known
        return known[1]

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        state.pop("_ritornello", None)
        return state


class RNN(_Fast, nn.RNN):
    """`nn.RNN`."""


class LSTM(_Fast, nn.LSTM):
    """`nn.LSTM`."""


class GRU(_Fast, nn.GRU):
    """`nn.GRU`."""


PLACES = {nn.RNN: RNN, nn.LSTM: LSTM, nn.GRU: GRU}


def optimize(module: nn.Module) -> nn.Module:
    """Lets every `nn.RNN`, `nn.LSTM` and `nn.GRU` inside run here, and gives the module back.

    The module itself is changed: its recurrent parts keep their parameters, names and hooks, and
    what is around them runs in PyTorch as before. It must be in evaluation mode.
    """
    parts = [part for part in module.modules() if type(part) in PLACES]
    if not parts:
        raise UnsupportedError(f"{type(module).__name__} has no nn.RNN, nn.LSTM or nn.GRU inside")
    if any(part.training for part in parts):
        raise UnsupportedError("the module is in training mode: call module.eval() first")
    for part in parts:
        part.__class__ = PLACES[type(part)]
    return module

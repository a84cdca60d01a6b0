"""`nn.RNN`, `nn.LSTM`, `nn.GRU` and their cells: sizes, names of tensors, nodes of a specification.

Nothing here imports PyTorch.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Iterator, Mapping, Sequence

import numpy as np

from .. import _ritornello
from .._model import Model
from .._ritornello import Error

GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}
NAME = re.compile(r"weight_ih(?:_l(\d+))?(_reverse)?$")


@dataclass(frozen=True)
class Layout:
    """What such a module was constructed with."""

    #: RNN, LSTM or GRU
    kind: str
    input_size: int
    hidden_size: int
    num_layers: int = 1
    bias: bool = True
    batch_first: bool = False
    bidirectional: bool = False
    proj_size: int = 0
    nonlinearity: str = "tanh"
    #: Whether it is `nn.RNNCell` and its like.
    is_cell: bool = False

    @classmethod
    def of_module(cls, module: Any) -> Layout:
        """Of a live module."""
        kind = type(module).__name__.removesuffix("Cell")
        nonlinearity = getattr(module, "nonlinearity", "tanh")
        if type(module).__name__.endswith("Cell"):
            sizes = (module.input_size, module.hidden_size)
            return cls(
                kind,
                *sizes,
                bias=module.bias,
                nonlinearity=nonlinearity,
                batch_first=True,
                is_cell=True,
            )
        return cls(
            kind,
            module.input_size,
            module.hidden_size,
            module.num_layers,
            module.bias,
            module.batch_first,
            module.bidirectional,
            module.proj_size,
            nonlinearity,
        )

    @classmethod
    def of_names(
        cls,
        kind: str,
        tensors: Mapping[str, np.ndarray],
        nonlinearity: str = "tanh",
        batch_first: bool = False,
        num_layers: int | None = None,
        bidirectional: bool | None = None,
    ) -> Layout:
        """Of a `state_dict`."""
        found = [match for match in map(NAME.match, tensors) if match]
        if not found:
            names = ", ".join(tensors) or "nothing"
            raise Error(f"the tensors of {kind} are {names}, expected weight_ih_l0, weight_hh_l0, ...")
        is_cell = any(match[1] is None for match in found)
        layers = 1 + max(int(match[1] or 0) for match in found)
        both = any(match[2] for match in found)
        for what, said, is_so in (
            ("num_layers", num_layers, layers),
            ("bidirectional", bidirectional, both),
        ):
            if said is not None and said != is_so:
                raise Error(f"{what} is {said}, expected {is_so} as the tensors say")
        last = "" if is_cell else "_l0"
        first, recurrent = tensors[f"weight_ih{last}"], tensors.get(f"weight_hh{last}")
        if recurrent is None:
            raise Error(f"tensor 'weight_hh{last}' is missing, needed by {kind}")
        hidden, proj = _sizes(kind, first, recurrent)
        return cls(
            kind,
            first.shape[1],
            hidden,
            layers,
            f"bias_ih{last}" in tensors,
            batch_first or is_cell,
            both,
            proj,
            nonlinearity,
            is_cell,
        )

    @classmethod
    def of_list(
        cls,
        kind: str,
        tensors: Sequence[np.ndarray],
        nonlinearity: str = "tanh",
        batch_first: bool = False,
        num_layers: int | None = None,
        bidirectional: bool = False,
    ) -> Layout:
        """Of tensors in the order of a `state_dict`."""
        expected = "weight_ih, weight_hh, bias_ih, bias_hh (and weight_hr) of each layer and direction"
        if len(tensors) < 2:
            raise Error(f"the tensors of {kind} are {len(tensors)}, expected {expected}")
        hidden, proj = _sizes(kind, tensors[0], tensors[1])
        bias = len(tensors) > 2 and tensors[2].ndim == 1
        each = 2 + 2 * bias + (proj > 0)
        directions = 1 + bidirectional
        layers, rest = divmod(len(tensors), each * directions)
        if rest or layers == 0 or num_layers not in (None, layers):
            wanted = "any number of layers" if num_layers is None else f"{num_layers} layers"
            raise Error(
                f"the tensors of {kind} are {len(tensors)}, expected {each} ({expected}) for "
                f"{wanted} with {directions} directions"
            )
        sizes = (tensors[0].shape[1], hidden, layers, bias, batch_first, bidirectional, proj)
        return cls(kind, *sizes, nonlinearity)

    @property
    def op(self) -> str:
        """The operation in a specification."""
        return self.kind.lower()

    @property
    def directions(self) -> int:
        """1, or 2 if it goes both ways."""
        return 1 + self.bidirectional

    @property
    def states(self) -> int:
        """The first axis of h_n."""
        return self.num_layers * self.directions

    @property
    def state_sizes(self) -> tuple[int, ...]:
        """Features of h and, of an LSTM, of c."""
        h = self.proj_size or self.hidden_size
        return (h, self.hidden_size) if self.kind == "LSTM" else (h,)

    @property
    def output_size(self) -> int:
        """Features of a step of the output."""
        return self.directions * self.state_sizes[0]

    def tensor_names(self) -> list[str]:
        """The names in a `state_dict`, in its order."""
        return list(self._names())

    def _names(self) -> Iterator[str]:
        kinds = ["weight_ih", "weight_hh"] + ["bias_ih", "bias_hh"] * self.bias
        kinds += ["weight_hr"] * (self.proj_size > 0)
        for layer in range(self.num_layers):
            for side in ("", "_reverse")[: self.directions]:
                suffix = "" if self.is_cell else f"_l{layer}{side}"
                yield from (f"{kind}{suffix}" for kind in kinds)

    def node(self, name: str, value: str, prefix: str = "") -> dict[str, Any]:
        """The node of a specification that computes it from `value`."""
        node: dict[str, Any] = {"name": name, "op": self.op, "inputs": [value]}
        node["hidden_size"] = self.hidden_size
        if self.num_layers > 1:
            node["layers"] = self.num_layers
        if self.bidirectional:
            node["direction"] = "bidirectional"
        if self.kind == "RNN":
            node["activation"] = self.nonlinearity
        if not self.bias:
            node["bias"] = False
        if self.proj_size:
            node["proj_size"] = self.proj_size
        node["weights"] = {"convention": "pytorch", "prefix": prefix}
        return node

    def spec(self) -> dict[str, Any]:
        """The specification of the module by itself."""
        node = self.node("rnn", "x")
        if self.bidirectional:
            # So that a call can give it initial states.
            node["stateful"] = True
        axes = ["batch", "time"] if self.batch_first else ["time", "batch"]
        outputs = ["rnn", "rnn.h_n"] + ["rnn.c_n"] * (self.kind == "LSTM")
        return {
            "ritornello": 1,
            "inputs": [{"name": "x", "axes": [*axes, self.input_size]}],
            "nodes": [node],
            "outputs": outputs,
        }

    def model(self, tensors: Mapping[str, np.ndarray], options: dict[str, Any], origin: Any = None) -> Model:
        """The module by itself, from its tensors."""
        from .calls import CellCall, RecurrentCall

        native = _ritornello.Model.from_spec(json.dumps(self.spec()), list(tensors.items()))
        call = CellCall(self) if self.is_cell else RecurrentCall(self)
        return Model(native, call, origin=origin, **options)


def _sizes(kind: str, first: np.ndarray, recurrent: np.ndarray) -> tuple[int, int]:
    """hidden_size and proj_size, from weight_ih and weight_hh."""
    gates = GATES[kind]
    if first.ndim != 2 or recurrent.ndim != 2 or first.shape[0] % gates:
        raise Error(
            f"weight_ih is {list(first.shape)} and weight_hh {list(recurrent.shape)}, expected "
            f"[{gates} × hidden, input] and [{gates} × hidden, hidden]"
        )
    hidden = first.shape[0] // gates
    state = recurrent.shape[1]
    return hidden, state if kind == "LSTM" and state != hidden else 0

"""How modules of PyTorch are called: `out, (h, c) = model(x, (h0, c0))`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .._arrays import torch_tensor
from .._ritornello import Error
from .layout import Layout


def is_packed(x: Any) -> bool:
    """Whether it is a `PackedSequence`."""
    return hasattr(x, "batch_sizes") and hasattr(x, "sorted_indices")


def arguments(args: tuple, kwargs: dict[str, Any], names: tuple[str, ...]) -> list[Any]:
    """Arguments by position and name, as Python sorts them; what is not given is None."""
    if len(args) > len(names):
        raise TypeError(f"the call takes {len(names)} arguments ({', '.join(names)}), got {len(args)}")
    given = dict(zip(names, args))
    for name in names:
        if name in kwargs:
            if name in given:
                raise TypeError(f"the call got two values for {name!r}")
            given[name] = kwargs.pop(name)
    if kwargs:
        raise TypeError(f"the call got an unexpected argument {sorted(kwargs)[0]!r}")
    return [given.get(name) for name in names]


def moved(array: Any, axes: tuple[int, ...]) -> Any:
    """An array with its axes in another order."""
    return array.permute(*axes) if torch_tensor(array) else array.transpose(axes)


@dataclass(frozen=True)
class RecurrentCall:
    """The call of `nn.RNN`, `nn.LSTM` or `nn.GRU`."""

    #: whether a stream gives the first output alone
    streams_first: ClassVar[bool] = True

    layout: Layout

    def call(self, model: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        lengths, out = kwargs.pop("lengths", None), kwargs.pop("out", None)
        x, hx = arguments(args, kwargs, ("input", "hx"))
        if is_packed(x):
            return self._packed(model, x, hx)
        rank = np.ndim(x) if not torch_tensor(x) else x.dim()
        if rank == 2:
            return self._unbatched(model, x, hx)
        batch = np.shape(x)[0 if self.layout.batch_first else 1] if rank == 3 else 0
        state = self.state(hx, batch)
        if out is not None and not isinstance(out, (list, tuple)):
            out = [
                out,
                *(np.empty((self.layout.states, batch, n), np.float32) for n in self.layout.state_sizes),
            ]
        results = model.run([x], lengths=lengths, state=state, out=out)
        return self.returned(results)

    def returned(self, results: list[Any]) -> Any:
        """`(out, h)` or `(out, (h, c))`."""
        out, *states = results
        return out, (tuple(states) if self.layout.kind == "LSTM" else states[0])

    def streamed(self, results: list[Any]) -> Any:
        """A stream gives the output alone; its states are `stream.state`."""
        return results[0]

    def state(self, hx: Any, batch: int) -> list[tuple[str, np.ndarray]] | None:
        """The initial states under the names that a session has for them."""
        if hx is None:
            return None
        arrays = self._given(hx)
        named = []
        for letter, array, size in zip("hc", arrays, self.layout.state_sizes):
            wanted = (self.layout.states, batch, size)
            if array.shape != wanted:
                raise Error(
                    f"initial {letter}: got {list(array.shape)}, expected [layers × directions "
                    f"{wanted[0]}, batch {batch}, {'proj' if self._projects(letter) else 'hidden'} {size}]"
                )
            directions = self.layout.directions
            for layer in range(self.layout.num_layers):
                node = "rnn" if layer + 1 == self.layout.num_layers else f"rnn.{layer}"
                part = array[layer * directions : (layer + 1) * directions]
                named.append((f"{node}.{letter}", np.ascontiguousarray(part)))
        return named

    def _projects(self, letter: str) -> bool:
        return letter == "h" and self.layout.proj_size > 0

    def _given(self, hx: Any) -> list[np.ndarray]:
        from .._arrays import Taker

        count = len(self.layout.state_sizes)
        parts = [hx] if count == 1 else list(hx) if isinstance(hx, (tuple, list)) else None
        if parts is None or len(parts) != count:
            raise Error(f"hx is {type(hx).__name__}, expected the tuple (h_0, c_0)")
        taker = Taker()
        taker.warned = True
        return [taker.numbers(part, f"{letter}_0") for letter, part in zip("hc", parts)]

    def _unbatched(self, model: Any, x: Any, hx: Any) -> Any:
        """Without an axis of the batch: one is put in, and taken out again."""
        place = 0 if self.layout.batch_first else 1
        x = x.unsqueeze(place) if torch_tensor(x) else np.expand_dims(x, place)
        if hx is not None:
            parts = hx if isinstance(hx, (tuple, list)) else [hx]
            if any(np.ndim(part) != 2 for part in parts):
                raise Error(
                    "the input has no axis of the batch, so expected states [layers × directions, hidden]"
                )
            parts = tuple(part[:, None] for part in parts)
            hx = parts if isinstance(hx, (tuple, list)) else parts[0]
        out, *states = model.run([x], state=self.state(hx, 1))
        results = [out.squeeze(place) if torch_tensor(out) else out.squeeze(axis=place)]
        results += [state[:, 0] for state in states]
        return self.returned(results)

    def _packed(self, model: Any, x: Any, hx: Any) -> Any:
        """Rows of different lengths, packed: unpacked, run at their lengths, packed again."""
        torch = sys.modules["torch"]
        sizes = x.batch_sizes
        batch = int(sizes[0])
        present = sizes[:, None] > torch.arange(batch)
        padded = x.data.new_zeros((len(sizes), batch, *x.data.shape[1:]))
        padded[present] = x.data.detach()
        state = self.state(hx, batch)
        if state is not None and x.sorted_indices is not None:
            order = x.sorted_indices.numpy()
            state = [(name, np.ascontiguousarray(array[:, order])) for name, array in state]
        if self.layout.batch_first:
            padded = padded.transpose(0, 1).contiguous()
        out, *states = model.run([padded], lengths=present.sum(0), state=state)
        if self.layout.batch_first:
            out = out.transpose(0, 1)
        if x.unsorted_indices is not None:
            states = [state.index_select(1, x.unsorted_indices) for state in states]
        packed = torch.nn.utils.rnn.PackedSequence(out[present], sizes, x.sorted_indices, x.unsorted_indices)
        return self.returned([packed, *states])


@dataclass(frozen=True)
class CellCall(RecurrentCall):
    """The call of `nn.RNNCell`, `nn.LSTMCell` or `nn.GRUCell`: one step."""

    def call(self, model: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        x, hx = arguments(args, kwargs, ("input", "hx"))
        unbatched = len(np.shape(x)) == 1
        if unbatched:
            x = x[None]
        if len(np.shape(x)) != 2:
            raise Error(
                f"input 'x': got {list(np.shape(x))}, expected [batch, features {self.layout.input_size}]"
            )
        batch = np.shape(x)[0]
        if hx is not None:
            parts = hx if isinstance(hx, (tuple, list)) else [hx]
            parts = tuple(part[None, None] if unbatched else part[None] for part in parts)
            hx = parts if isinstance(hx, (tuple, list)) else parts[0]
        results = model.run([x[:, None]], state=self.state(hx, batch))
        states = [state[0, 0] if unbatched else state[0] for state in results[1:]]
        return tuple(states) if self.layout.kind == "LSTM" else states[0]

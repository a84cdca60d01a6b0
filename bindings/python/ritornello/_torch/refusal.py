"""Why a module is refused, and what to write instead."""

from __future__ import annotations

import traceback
from typing import Any

from .._ritornello import UnsupportedError


class AxesMismatch(UnsupportedError):
    """The axes of a value are not in the order that was supposed."""


CELL_LOOP = """\
A loop over time is what a recurrent layer is. The same from a cell that is called in it:

    rnn = torch.nn.{kind}({sizes}, batch_first=True).eval()
    rnn.load_state_dict({{f"{{name}}_l0": w for name, w in {path}.state_dict().items()}})
    fast = ritornello.from_torch(rnn)           # out, state = fast(x)

and in `forward`, `out, state = self.rnn(x)` instead of the loop. A layer that is called on every
step by itself needs no loop: `self.layer(out)` works on all steps at once."""

OTHER_LOOP = """\
A loop over time is what a recurrent layer is: where h = tanh(W x + U h + b), write

    rnn = torch.nn.RNN(input_size, hidden_size, batch_first=True).eval()
    rnn.load_state_dict({"weight_ih_l0": W, "weight_hh_l0": U, "bias_ih_l0": b, "bias_hh_l0": 0 * b})
    fast = ritornello.from_torch(rnn)           # out, h = fast(x)

and in `forward`, `out, h = self.rnn(x)` instead of the loop. A layer that is called on every step by
itself needs no loop: `self.layer(out)` works on all steps at once. What no layer of PyTorch computes
(`h = tanh(W x + b + h)`, say) a spec can say: ritornello.load(weights, spec=...)."""


def cell_loop(module: Any, where: str) -> UnsupportedError:
    """The error for a loop, with the lines that do without it."""
    cells = [
        (path, part)
        for path, part in module.named_modules()
        if type(part).__name__ in ("RNNCell", "LSTMCell", "GRUCell")
    ]
    if not cells:
        return UnsupportedError(f"{where}\n{OTHER_LOOP}")
    path, cell = cells[0]
    sizes = f"{cell.input_size}, {cell.hidden_size}" + ("" if cell.bias else ", bias=False")
    if type(cell).__name__ == "RNNCell" and cell.nonlinearity != "tanh":
        sizes += f", nonlinearity={cell.nonlinearity!r}"
    text = CELL_LOOP.format(kind=type(cell).__name__.removesuffix("Cell"), sizes=sizes, path=f"module.{path}")
    return UnsupportedError(f"{where}\n{text}")


def untraceable(module: Any, problem: Exception) -> UnsupportedError:
    """The error for a `forward` that does more with its data than computing with it."""
    frames = traceback.extract_tb(problem.__traceback__)
    own = [f for f in frames if "/torch/" not in f.filename and "/ritornello/" not in f.filename]
    name = type(module).__name__
    where = f"`forward` of {name} cannot be traced"
    if own:
        where += f", line {own[-1].lineno}: `{own[-1].line}`"
    text = str(problem)
    loop = any(
        word in text for word in ("iterated", "interpreted as an integer", "length of this value", "'len'")
    ) or (own and (own[-1].line or "").lstrip().startswith("for "))
    if loop:
        return cell_loop(module, f"{where}: it steps through its data in a Python loop.")
    return UnsupportedError(
        f"{where}: {text}\nWhat `forward` does may not depend on the numbers in its data; compute "
        "with whole tensors, or build the model from its layers (ritornello.torch_lstm, a spec)."
    )

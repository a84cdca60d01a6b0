"""`from_torch` of modules whose `forward` asks what it is given."""

from __future__ import annotations

import ritornello
import torch
from conftest import near
from test_torch_graph import refused, traced
from torch import nn


def test_what_an_example_decides():
    def forward(self, x, ids):
        if x.dim() != 3 or x.shape[-1] != 6:
            raise ValueError("x is [batch, time, 6]")
        assert x.size(2) == self.rnn.input_size and x.dtype == torch.float32
        y = self.rnn(x)[0]
        if y.ndim == 3 and not y.size(-1) > 7:
            y = y[:, -1]
        return y + self.table(ids)[:, 0] if ids.dim() == 2 else y

    layers = {"rnn": nn.GRU(6, 7, batch_first=True), "table": nn.Embedding(5, 7)}
    module, x, ids = traced(forward, **layers).eval(), torch.randn(3, 5, 6), torch.tensor([[0, 3], [1, 2], [4, 4]])
    fast = ritornello.from_torch(module, (x, ids))
    with torch.no_grad():
        near(fast(x[:2, :4], ids[:2]), module(x[:2, :4], ids[:2]), steps=8)
    assert "from_torch(module, example=x)" in refused(module, "cannot be traced.*'x'.*an example tells")
    for open_one in (
        lambda self, x, ids: self.rnn(x)[0] if x.size(0) > 1 else x,
        lambda self, x, ids: self.rnn(x)[0] if x.shape[1] > 1 else x,
        lambda self, x, ids: self.rnn(x)[0] if ids.size(1) > 1 else x,
        lambda self, x, ids: self.rnn(x)[0] if x.sum() > 0 else x,
        lambda self, x, ids: self.rnn(x)[0] if x.max() == x.min() else x,
    ):
        refused(traced(open_one, **layers), "(?s)cannot be traced.*only ranks, types", (x, ids))

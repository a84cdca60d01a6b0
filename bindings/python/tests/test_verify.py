"""`verify` and `bench`: beside the original."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import ritornello
import torch
from torch import nn


def test_it_prints_and_returns_what_differs(capsys):
    torch.manual_seed(1)
    module = nn.LSTM(5, 6, batch_first=True).eval()
    x = torch.randn(2, 7, 5)
    result = ritornello.verify(module, x)
    assert result and result.passed and 0 < result.max < 1e-6 and result.mean <= result.max
    assert [one.name for one in result.outputs] == ["rnn", "rnn.h_n", "rnn.c_n"]
    printed = capsys.readouterr().out
    assert "max |diff|" in printed and "worst step" in printed and "same" in printed
    fast = ritornello.from_torch(module)
    assert fast.verify(x, print_fn=lambda text: None)
    with torch.no_grad():
        module.weight_hh_l0[3] += 0.01
    worse = fast.verify(x)
    assert not worse and worse.max > 1e-5 and worse.outputs[0].worst_step is not None
    assert "DIFFERS" in capsys.readouterr().out
    assert ritornello.verify(module, x, fast=fast, tolerance=1.0)


def test_the_worst_step_is_where_it_is():
    torch.manual_seed(1)
    module = nn.GRU(5, 6, batch_first=True).eval()
    fast = ritornello.from_torch(module)
    x = torch.randn(2, 7, 5)

    class Wrong(nn.Module):
        def forward(self, x):
            out, h = module(x)
            out[1, 4, 2] += 0.5
            return out, h

    one = ritornello.verify(Wrong(), x, fast=fast, print_fn=lambda text: None).outputs[0]
    assert one.worst == (1, 4, 2) and one.worst_step == 4 and abs(one.max - 0.5) < 1e-5


def test_keras_and_arrays():
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((None, 3)), keras.layers.GRU(4), keras.layers.Dense(2)])
    x = np.random.default_rng(1).standard_normal((2, 5, 3), np.float32)
    assert ritornello.verify(model, x, print_fn=lambda text: None)
    rows = ritornello.bench(model, x, seconds=0.05, print_fn=lambda text: None).rows
    assert [row.name for row in rows] == ["Sequential", "Sequential.predict", "ritornello"]


def test_bench_prints_side_by_side(capsys):
    module = nn.LSTM(5, 6).eval()
    result = ritornello.from_torch(module).bench(torch.randn(2, 7, 5), seconds=0.05)
    assert [row.name for row in result.rows] == ["LSTM", "ritornello"]
    assert all(0 < row.best <= row.median and row.calls >= 3 for row in result.rows)
    assert "beside ritornello" in capsys.readouterr().out


def test_an_original_that_is_gone_is_said():
    fast = ritornello.from_torch(nn.LSTM(5, 6).eval())
    import gc

    gc.collect()
    with pytest.raises(ritornello.Error, match="not here any more"):
        fast.verify(torch.zeros(2, 7, 5))

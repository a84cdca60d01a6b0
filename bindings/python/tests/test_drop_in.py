"""`ritornello.torch`: modules in the place of PyTorch's."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import pytest
import ritornello
import ritornello.torch
import torch
from conftest import near
from torch import nn


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_same_constructor_state_and_call(kind):
    torch.manual_seed(1)
    keys = {"num_layers": 2, "bidirectional": True, "batch_first": True}
    theirs = getattr(nn, kind)(5, 6, **keys).eval()
    ours = getattr(ritornello.torch, kind)(5, 6, **keys).eval()
    ours.load_state_dict(theirs.state_dict())
    assert list(ours.state_dict()) == list(theirs.state_dict())
    x = torch.randn(3, 4, 5)
    for module in (ours, copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        near(module(x)[0], theirs(x)[0].detach(), steps=16)
    first = ours(x)[0]
    with torch.no_grad():
        ours.weight_hh_l0.mul_(0.5)
    assert not torch.equal(ours(x)[0], first), "changed weights are packed again"


def test_evaluation_only():
    ours = ritornello.torch.GRU(5, 6)
    with pytest.raises(ritornello.UnsupportedError, match="evaluation mode only"):
        ours(torch.zeros(3, 4, 5))
    with pytest.raises(ritornello.UnsupportedError, match="no gradients"):
        ours.eval()(torch.zeros(3, 4, 5, requires_grad=True))


def test_modules_inside_others_are_replaced():
    torch.manual_seed(1)

    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.norm = nn.LSTM(5, 6, batch_first=True), nn.LayerNorm(6)

        def forward(self, x):
            return self.norm(self.rnn(x)[0]).cumsum(1)

    module = Own().eval()
    x = torch.randn(3, 4, 5)
    with torch.no_grad():
        expected, names = module(x), list(module.state_dict())
        fast = ritornello.torch.optimize(module)
        assert fast is module and type(module.rnn) is ritornello.torch.LSTM
        assert list(module.state_dict()) == names
        torch.testing.assert_close(module(x), expected, atol=1e-5, rtol=0)
    alone = ritornello.from_torch(module.rnn)
    assert torch.equal(alone(x)[0], module.rnn(x)[0])
    with pytest.raises(ritornello.UnsupportedError, match="training mode"):
        ritornello.torch.optimize(nn.Sequential(nn.LSTM(5, 6)))
    with pytest.raises(ritornello.UnsupportedError, match="has no nn.RNN"):
        ritornello.torch.optimize(nn.Linear(5, 6))


def test_it_is_imported_when_it_is_asked_for():
    code = "import ritornello; ritornello.torch.LSTM(2, 3); assert not hasattr(ritornello, 'jax')"
    subprocess.run([sys.executable, "-c", code], check=True)

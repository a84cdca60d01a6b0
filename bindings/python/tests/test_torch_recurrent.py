"""`from_torch` of PyTorch's own recurrent modules, called in every way in which they are."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import ritornello
import torch
from conftest import near
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence


@st.composite
def modules(draw):
    kind = draw(st.sampled_from(["RNN", "LSTM", "GRU"]))
    sizes = {"input_size": draw(st.integers(1, 9)), "hidden_size": draw(st.integers(2, 9))}
    keys = {
        "num_layers": draw(st.integers(1, 3)),
        "bidirectional": draw(st.booleans()),
        "batch_first": draw(st.booleans()),
        "bias": draw(st.booleans()),
    }
    if kind == "RNN":
        keys["nonlinearity"] = draw(st.sampled_from(["tanh", "relu"]))
    if kind == "LSTM" and draw(st.booleans()):
        keys["proj_size"] = draw(st.integers(1, sizes["hidden_size"] - 1))
    torch.manual_seed(draw(st.integers(0, 1000)))
    module = getattr(nn, kind)(**sizes, **keys).eval()
    # With weights larger than PyTorch's own, a gate in another's place shows.
    for parameter in module.parameters():
        parameter.data.mul_(1.5)
    return module


def states(module, batch, seed):
    """Initial states as the module takes them; of a batch of None without its axis."""
    make = torch.Generator().manual_seed(seed)
    directions = 1 + module.bidirectional
    sizes = [module.proj_size or module.hidden_size]
    if isinstance(module, nn.LSTM):
        sizes.append(module.hidden_size)
    shape = [module.num_layers * directions] + ([] if batch is None else [batch])
    parts = [torch.randn(*shape, size, generator=make) for size in sizes]
    return tuple(parts) if len(parts) > 1 else parts[0]


def doubled(value):
    """The same in float64."""
    if isinstance(value, PackedSequence):
        return value.double()
    if isinstance(value, tuple):
        return tuple(doubled(part) for part in value)
    return None if value is None else value.double()


def flat(value):
    if isinstance(value, PackedSequence):
        return [value.data]
    if isinstance(value, tuple):
        return [array for part in value for array in flat(part)]
    return [value]


def check(module, fast, x, hx, time):
    """Both give the same, in the same structure."""
    with torch.no_grad():
        truth = copy.deepcopy(module).double()(doubled(x), doubled(hx))
        theirs = module(x, hx)
    ours = fast(x, hx) if hx is not None else fast(x)
    assert type(ours) is type(theirs) and type(ours[1]) is type(theirs[1])
    assert [type(part) for part in ours] == [type(part) for part in theirs]
    steps = max(1, time) * getattr(module, "num_layers", 1)
    for found, exact, other in zip(flat(ours), flat(truth), flat(theirs), strict=True):
        assert found.dtype == torch.float32
        near(found, exact, steps=steps, theirs=other)
    return ours, theirs


@given(modules(), st.integers(0, 6), st.integers(1, 5), st.booleans(), st.integers(0, 99))
def test_every_configuration_gives_what_pytorch_gives(module, time, batch, with_states, seed):
    time = max(time, 1)
    shape = (batch, time) if module.batch_first else (time, batch)
    x = torch.randn(*shape, module.input_size, generator=torch.Generator().manual_seed(seed))
    hx = states(module, batch, seed) if with_states else None
    fast = ritornello.from_torch(module)
    check(module, fast, x, hx, time)
    # Without PyTorch's tensors: arrays in, arrays out, the same bits.
    arrays = fast(x.numpy(), hx) if hx is not None else fast(x.numpy())
    for found, other in zip(flat(arrays), flat(fast(x, hx)), strict=True):
        assert type(found) is np.ndarray
        np.testing.assert_array_equal(found, other.numpy())


@given(modules(), st.integers(1, 6), st.booleans(), st.integers(0, 99))
def test_unbatched_input(module, time, with_states, seed):
    x = torch.randn(time, module.input_size, generator=torch.Generator().manual_seed(seed))
    hx = states(module, None, seed) if with_states else None
    check(module, ritornello.from_torch(module), x, hx, time)


@given(
    modules(),
    st.lists(st.integers(1, 7), min_size=1, max_size=5),
    st.booleans(),
    st.integers(0, 99),
)
def test_packed_input(module, lengths, with_states, seed):
    make = torch.Generator().manual_seed(seed)
    rows = [torch.randn(n, module.input_size, generator=make) for n in lengths]
    x = pack_sequence(rows, enforce_sorted=False)
    hx = states(module, len(lengths), seed) if with_states else None
    ours, theirs = check(module, ritornello.from_torch(module), x, hx, max(lengths))
    assert torch.equal(ours[0].batch_sizes, theirs[0].batch_sizes)
    assert torch.equal(ours[0].unsorted_indices, theirs[0].unsorted_indices)
    fast = ritornello.from_torch(module)
    alone = [fast(row) for row in rows]
    padded, _ = nn.utils.rnn.pad_packed_sequence(ours[0], batch_first=True)
    if hx is None:
        for row, (out, _) in enumerate(alone):
            assert torch.equal(padded[row, : lengths[row]], out), "the bits that the row has alone"


@pytest.mark.parametrize("kind", ["RNNCell", "LSTMCell", "GRUCell"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batched", [True, False])
def test_cells(kind, bias, batched):
    torch.manual_seed(3)
    cell = getattr(nn, kind)(5, 7, bias=bias).eval()
    fast = ritornello.from_torch(cell)
    shape = [4] if batched else []
    x = torch.randn(*shape, 5)
    h = torch.randn(*shape, 7)
    hx = (h, torch.randn(*shape, 7)) if kind == "LSTMCell" else h
    for given_states in (None, hx):
        with torch.no_grad():
            theirs = flat(cell(x, given_states))
        ours = flat(fast(x, given_states))
        for found, other in zip(ours, theirs, strict=True):
            near(found, other, steps=2)


def test_a_cell_with_relu_is_one():
    torch.manual_seed(3)
    cell = nn.RNNCell(5, 7, nonlinearity="relu").eval()
    x = torch.randn(4, 5)
    near(ritornello.from_torch(cell)(x), cell(x).detach(), steps=2)


def test_weights_without_the_module():
    torch.manual_seed(4)
    module = nn.LSTM(6, 5, 2, bidirectional=True, batch_first=True, proj_size=3).eval()
    x = torch.randn(3, 4, 6)
    expected = flat(ritornello.from_torch(module)(x))
    named = {name: array.numpy() for name, array in module.state_dict().items()}
    for weights, keys in (
        (named, {}),
        (module.state_dict(), {}),
        (list(named.values()), {"bidirectional": True}),
    ):
        found = ritornello.torch_lstm(weights, batch_first=True, **keys)(x)
        for one, other in zip(flat(found), expected, strict=True):
            assert torch.equal(one, other)
    rnn = nn.RNN(6, 5, nonlinearity="relu", bias=False)
    found = ritornello.torch_rnn(rnn.state_dict(), nonlinearity="relu")(x)
    assert torch.equal(found[0], ritornello.from_torch(rnn)(x)[0])
    gru = nn.GRU(6, 5)
    assert torch.equal(ritornello.torch_gru(gru.state_dict())(x)[0], ritornello.from_torch(gru)(x)[0])
    with pytest.raises(ritornello.Error, match="expected 4 .* of each layer and direction"):
        ritornello.torch_gru(list(gru.state_dict().values())[:3])


def test_lengths_of_arrays_without_packing():
    torch.manual_seed(5)
    module = nn.GRU(4, 6, bidirectional=True, batch_first=True).eval()
    fast = ritornello.from_torch(module)
    x = torch.randn(2, 5, 4)
    out, h = fast(x, lengths=[5, 2])
    alone, h_alone = fast(x[1:, :2])
    assert torch.equal(out[1, :2], alone[0]) and torch.equal(h[:, 1], h_alone[:, 0])
    assert not out[1, 2:].any()


def test_out_is_written():
    torch.manual_seed(6)
    fast = ritornello.from_torch(nn.LSTM(4, 6, batch_first=True))
    x = np.random.default_rng(1).standard_normal((2, 3, 4), np.float32)
    expected, _ = fast(x)
    out = np.zeros((2, 3, 6), np.float32)
    given_back, _ = fast(x, out=out)
    assert given_back is out
    np.testing.assert_array_equal(out, expected)


def test_training_mode_is_refused_where_it_counts():
    with pytest.raises(ritornello.UnsupportedError, match=r"module\.eval\(\)"):
        ritornello.from_torch(nn.LSTM(4, 6, 2, dropout=0.5))
    ritornello.from_torch(nn.LSTM(4, 6, 2, dropout=0.5).eval())
    ritornello.from_torch(nn.LSTM(4, 6, 2))
    with pytest.raises(ritornello.UnsupportedError, match=r"'1' \(Dropout\) is in training mode"):
        ritornello.from_torch(nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.1)))


def test_what_is_no_module_is_refused():
    with pytest.raises(TypeError, match="torch.nn.Module"):
        ritornello.from_torch("a path")

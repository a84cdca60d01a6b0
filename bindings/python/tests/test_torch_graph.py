"""`from_torch` of modules of one's own: what is traced, what it gives, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import ritornello
import torch
import torch.nn.functional as F
from conftest import near
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


def check(module, *x, steps=40, example=True):
    """Traced with and without an example, it gives what the module gives."""
    module.eval()
    with torch.no_grad():
        theirs = module(*x)
        exact = module.double()(*(t.double() if t.is_floating_point() else t for t in x))
    module.float()
    for fast in [ritornello.from_torch(module)] + [ritornello.from_torch(module, x)] * example:
        ours = fast(*x)
        compare(ours, exact, theirs, steps)
    return fast


def compare(ours, exact, theirs, steps):
    assert type(ours) is type(theirs)
    if isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        ours, exact, theirs = ours.values(), exact.values(), theirs.values()
    if not isinstance(theirs, torch.Tensor):
        for parts in zip(ours, exact, theirs, strict=True):
            compare(*parts, steps)
        return
    near(ours, exact, steps=steps, theirs=theirs)


def traced(forward, **layers):
    """A module with these layers and this `forward`."""

    class Traced(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(11)
            for name, layer in layers.items():
                setattr(self, name, layer)

    Traced.forward = forward
    return Traced()


def test_initial_states_that_are_parameters():
    def forward(self, x):
        batch = x.size(0)
        h = self.h0.expand(-1, batch, -1).contiguous()
        y, (h_n, _) = self.lstm(x, (h, torch.tanh(self.c0).repeat(1, batch, 1)))
        z, _ = self.gru(x, self.start[None, None].expand(1, batch, 6))
        return y * self.gain - self.shift, z, h_n[-1] + self.one

    module = traced(
        forward,
        lstm=nn.LSTM(5, 4, num_layers=2, batch_first=True, bidirectional=True),
        gru=nn.GRU(5, 6, batch_first=True),
        h0=nn.Parameter(torch.randn(4, 1, 4)),
        c0=nn.Parameter(torch.randn(4, 1, 4)),
        start=nn.Parameter(torch.randn(6)),
        gain=nn.Parameter(torch.randn(8)),
        shift=nn.Parameter(torch.randn(1, 1, 8)),
        one=nn.Parameter(torch.randn(())),
    )
    check(module, torch.randn(3, 7, 5))
    check(module, torch.randn(1, 1, 5), example=False)


def test_a_stream_starts_from_parameters_and_goes_on():
    def forward(self, x):
        return self.rnn(x, self.h0.expand(-1, x.shape[0], -1))[0]

    rnn, h0 = nn.RNN(3, 4, batch_first=True), nn.Parameter(torch.randn(1, 1, 4))
    fast = ritornello.from_torch(traced(forward, rnn=rnn, h0=h0))
    x = torch.randn(2, 6, 3)
    whole = np.asarray(fast(x))
    stream = fast.stream(batch=2)
    steps = [np.asarray(stream.step(x[:, t])) for t in range(6)]
    assert np.array_equal(np.stack(steps, axis=1), whole)


def test_a_parameter_that_is_not_spread_over_the_batch_is_refused():
    def forward(self, x):
        return self.rnn(x, self.h0)[0]

    module = traced(forward, rnn=nn.RNN(3, 4, batch_first=True), h0=nn.Parameter(torch.randn(1, 2, 4)))
    with pytest.raises(ritornello.UnsupportedError, match="'h0'.*not spread over the batch"):
        ritornello.from_torch(module)


def test_a_bidirectional_classifier_on_final_states():
    def forward(self, x):
        _, h = self.rnn(x)
        return self.linear(torch.cat((h[0], h[1]), dim=1))

    module = traced(
        forward, rnn=nn.RNN(32, 12, batch_first=True, bidirectional=True), linear=nn.Linear(24, 5)
    )
    check(module, torch.rand(8, 12, 32))


def test_an_encoder_and_a_decoder_that_is_fed_once():
    def forward(self, x):
        _, y = self.brnn(x)
        context = torch.cat([y[0, :, :].squeeze(1), y[1, :, :].squeeze(1)], dim=1)
        decoded = torch.zeros(2, 25, 18)
        decoded[:, 0, :] = context
        h, _ = self.rnn(decoded)
        return self.linear(h)

    layers = {
        "brnn": nn.RNN(5, 9, bidirectional=True, batch_first=True),
        "rnn": nn.RNN(18, 32, batch_first=True),
        "linear": nn.Linear(32, 3),
    }
    module = traced(forward, **layers)

    def whole(self, x):
        _, (y, c) = self.enc(x)
        first = y[-1].unsqueeze(1)
        steps = torch.cat([first, torch.zeros(x.size(0), 6, 9)], dim=1)
        return self.dec(steps)[0]

    fed = traced(whole, enc=nn.LSTM(5, 9, batch_first=True), dec=nn.GRU(9, 4, batch_first=True))

    class Doubling(torch.overrides.TorchFunctionMode):
        """Zeros of the type of the run, so that the reference may be in float64."""

        def __torch_function__(self, function, types, args=(), kwargs=None):
            return function(*args, **(kwargs or {}))

    for one in (module, fed):
        one.eval()
        x = torch.rand(2, 12, 5)
        with torch.no_grad():
            near(ritornello.from_torch(one, x)(x), one(x), steps=80)


def test_last_steps_means_maxima_and_heads():
    def last(self, x):
        out, _ = self.rnn(x)
        return torch.log_softmax(self.head(F.relu(out[:, -1, :])), dim=-1)

    def pooled(self, x):
        out, (h, c) = self.rnn(x)
        return {
            "mean": out.mean(dim=1),
            "max": out.max(dim=1)[0],
            "amax": out.amax(1),
            "h": h[-1],
            "c": c,
        }

    def each(self, x):
        out, _ = self.rnn(x)
        return self.head(self.drop(out)).squeeze(-1), out[:, 0]

    lstm = lambda: nn.LSTM(6, 7, 2, batch_first=True, dropout=0.3)
    x = torch.randn(3, 5, 6)
    check(traced(last, rnn=lstm(), head=nn.Linear(7, 4)), x)
    check(traced(pooled, rnn=lstm()), x)
    check(traced(each, rnn=lstm(), head=nn.Linear(7, 1), drop=nn.Dropout(0.5)), x)


def test_states_that_are_zeros_or_given():
    def zeros(self, x):
        h0 = torch.zeros(self.rnn.num_layers, x.size(0), self.rnn.hidden_size).to(x.device)
        c0 = torch.zeros(self.rnn.num_layers, x.size(0), self.rnn.hidden_size, device=x.device)
        out, _ = self.rnn(x, (h0, c0))
        return self.head(out)

    def given(self, x, h0, c0):
        out, (h, c) = self.rnn(x, (h0, c0))
        return out, h, c

    def optional(self, x, h0=None):
        out, h = self.gru(x, h0)
        return out, h

    lstm = nn.LSTM(6, 7, 2, batch_first=True)
    x, h0, c0 = torch.randn(3, 5, 6), torch.randn(2, 3, 7), torch.randn(2, 3, 7)
    module = traced(zeros, rnn=lstm, head=nn.Linear(7, 4)).eval()
    with torch.no_grad():
        near(ritornello.from_torch(module)(x), module(x), steps=20)
    check(traced(given, rnn=lstm), x, h0, c0)
    gru = traced(optional, gru=nn.GRU(6, 7, batch_first=True))
    check(gru, x)
    state = torch.randn(1, 3, 7)
    with torch.no_grad():
        compare(ritornello.from_torch(gru, (x, state))(x, state), gru(x, state), gru(x, state), 20)


def test_states_in_a_pair():
    def whole(self, x, hidden):
        out, hidden = self.rnn(x, hidden)
        return self.head(out), hidden

    def apart(self, x, hidden):
        h, c = hidden
        return self.rnn(x, (h, c))[0]

    def cell(self, x, hidden=None):
        h, c = self.cell(x, hidden)
        return self.head(h), (h, c)

    layers = {
        "rnn": nn.LSTM(6, 7, 2, batch_first=True, bidirectional=True),
        "head": nn.Linear(14, 2),
    }
    x, hidden = torch.randn(3, 5, 6), (torch.randn(4, 3, 7), torch.randn(4, 3, 7))
    for forward in (whole, apart):
        module = traced(forward, **layers).eval()
        with torch.no_grad():
            theirs = module(x, hidden)
        for fast in (ritornello.from_torch(module), ritornello.from_torch(module, (x, hidden))):
            compare(fast(x, hidden), theirs, theirs, 40)
        with pytest.raises(ritornello.Error, match=r"expected the tuple \(h_0, c_0\)"):
            fast(x, hidden[0])
    module = traced(cell, cell=nn.LSTMCell(6, 7), head=nn.Linear(7, 2)).eval()
    x, hidden = torch.randn(3, 6), (torch.randn(3, 7), torch.randn(3, 7))
    with torch.no_grad():
        compare(
            ritornello.from_torch(module, (x, hidden))(x, hidden),
            module(x, hidden),
            module(x, hidden),
            5,
        )
        compare(ritornello.from_torch(module)(x), module(x), module(x), 5)


def test_time_first_and_transposed():
    def first(self, x):
        out, h = self.rnn(x)
        return out[-1], h

    def turned(self, x):
        out, _ = self.rnn(x.transpose(0, 1))
        return self.head(out).permute(1, 0, 2)

    def given_back(self, x):
        out, h = self.rnn(x)
        return out.transpose(1, 2), h.transpose(0, 1), out.unsqueeze(0).permute(2, 3, 0, 1)

    check(traced(first, rnn=nn.GRU(6, 7)), torch.randn(5, 3, 6))
    check(traced(given_back, rnn=nn.GRU(6, 7, 2)), torch.randn(5, 3, 6))
    check(traced(given_back, rnn=nn.GRU(6, 7, 2, batch_first=True)), torch.randn(5, 3, 6))
    check(traced(turned, rnn=nn.GRU(6, 7), head=nn.Linear(7, 2)), torch.randn(3, 5, 6))


def test_embeddings_normalisation_and_activations():
    def text(self, tokens):
        embedded = self.drop(self.table(tokens))
        _, (h, _) = self.rnn(embedded)
        return torch.sigmoid(self.head(torch.cat([h[-2], h[-1]], -1)))

    def normed(self, x):
        out, _ = self.rnn(x)
        out = self.norm(out.transpose(1, 2)).transpose(1, 2)
        return self.act(self.head(self.norm2(out[:, -1])))

    layers = {"table": nn.Embedding(20, 6), "drop": nn.Dropout(0.2), "head": nn.Linear(14, 1)}
    tokens = torch.randint(0, 20, (3, 5))
    check(traced(text, rnn=nn.LSTM(6, 7, bidirectional=True, batch_first=True), **layers), tokens)

    def bag(self, tokens):
        return torch.tanh(self.table(tokens)).mean(dim=1)

    bagged = traced(bag, table=nn.Embedding(20, 6)).eval()
    with torch.no_grad():
        near(ritornello.from_torch(bagged, tokens)(tokens), bagged(tokens), steps=5)
    for act in (
        nn.ELU(0.7),
        nn.LeakyReLU(0.3),
        nn.GELU(),
        nn.GELU("tanh"),
        nn.Softplus(),
        nn.Hardtanh(),
        nn.Softmax(-1),
    ):
        layers = {"norm": nn.BatchNorm1d(7), "norm2": nn.BatchNorm1d(7, affine=False), "act": act}
        module = traced(normed, rnn=nn.RNN(6, 7, batch_first=True), head=nn.Linear(7, 3), **layers)
        for norm in (module.norm, module.norm2):
            norm.running_mean.uniform_(-1, 1)
            norm.running_var.uniform_(0.5, 2)
        check(module, torch.randn(3, 5, 6))


def test_reshapes_of_states_and_sequences():
    def split(self, x):
        _, h = self.rnn(x)
        h = h.view(2, 2, x.size(0), 7)
        return h[-1, 0], h[-1][1]

    def joined(self, x):
        _, h = self.rnn(x)
        return self.head(h.transpose(0, 1).reshape(x.size(0), -1)), h.permute(1, 0, 2).flatten(1)

    def rows(self, x):
        out, _ = self.rnn(x)
        y = self.head2(out.contiguous().view(-1, 14))
        return y, y.view(x.size(0), x.size(1), 3)

    def features(self, x):
        out, _ = self.rnn(x)
        return out[:, :, :7] + out[..., 7:], out[:, -1, :7] * 2.0 - 1.0, -out[:, -1:] / 4

    layers = {"rnn": nn.GRU(6, 7, 2, batch_first=True, bidirectional=True)}
    layers |= {"head": nn.Linear(28, 3), "head2": nn.Linear(14, 3)}
    for forward in (split, joined, rows, features):
        check(traced(forward, **layers), torch.randn(3, 5, 6))


def test_one_cell_and_sequences_from_vectors():
    def cell(self, x, h):
        return self.head(self.cell(x, h))

    def repeated(self, x):
        _, h = self.enc(x)
        steps = h[-1].unsqueeze(1).repeat(1, 4, 1)
        return self.dec(steps)[0], self.dec(h.squeeze(0).unsqueeze(1).expand(-1, 3, -1))[0]

    check(
        traced(cell, cell=nn.GRUCell(6, 7), head=nn.Linear(7, 2)),
        torch.randn(3, 6),
        torch.randn(3, 7),
    )
    check(
        traced(repeated, enc=nn.GRU(6, 7, batch_first=True), dec=nn.GRU(7, 4, batch_first=True)),
        torch.randn(3, 5, 6),
    )


def test_a_sequential_and_nested_modules():
    class Tail(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(8, 2, bias=False)

        def forward(self, x):
            out, _ = x
            return self.layer(out)

    check(
        nn.Sequential(nn.RNN(5, 4, batch_first=True, bidirectional=True), Tail()),
        torch.rand(4, 64, 5),
        steps=128,
    )
    check(nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 2)), torch.rand(4, 5))


def refused(module, match, example=None):
    with pytest.raises(ritornello.UnsupportedError, match=match) as raised:
        ritornello.from_torch(module.eval(), example)
    return str(raised.value)


def test_a_loop_over_time_is_refused_with_the_lines_that_do_without():
    def loop(self, x):
        h = torch.zeros(x.size(0), 7)
        c = torch.zeros(x.size(0), 7)
        for t in range(x.size(1)):
            h, c = self.cell(x[:, t], (h, c))
        return self.head(h)

    def counted(self, x):
        h, c = self.cell(x[:, 0])
        for t in range(1, 5):
            h, c = self.cell(x[:, t], (h, c))
        return self.head(h)

    def iterated(self, x):
        h = 0
        for row in x:
            h = torch.tanh(self.head(row) + h)
        return h

    cell, x = nn.LSTMCell(6, 7), torch.randn(3, 5, 6)
    text = refused(traced(loop, cell=cell, head=nn.Linear(7, 2)), "Python loop")
    assert "for t in range(x.size(1)):" in text and "torch.nn.LSTM(6, 7, batch_first=True)" in text
    refused(traced(counted, cell=cell, head=nn.Linear(7, 2)), "called more than once", x)
    text = refused(traced(iterated, head=nn.Linear(6, 6)), "Python loop")
    assert "torch.nn.RNN" in text
    # The lines do build the same.
    module = traced(counted, cell=cell, head=nn.Linear(7, 2))
    rnn = torch.nn.LSTM(6, 7, batch_first=True).eval()
    rnn.load_state_dict({f"{name}_l0": w for name, w in module.cell.state_dict().items()})
    out, _ = ritornello.from_torch(rnn)(x)
    with torch.no_grad():
        near(module.head(out[:, -1]).detach(), module(x), steps=5)


def test_what_is_not_mapped_is_named():
    def forward(self, x):
        return torch.cumsum(self.rnn(x)[0], 1)

    rnn = nn.GRU(6, 7, batch_first=True)
    cases = [
        (forward, "(?s)operation 'cumsum' is not run here.*in `forward`: return torch.cumsum"),
        (lambda self, x: self.norm(self.rnn(x)[0]), r"module 'norm' \(LayerNorm\) is not run here"),
        (lambda self, x: self.rnn(x)[0].flip(1), "operation 'flip'"),
        (lambda self, x: self.rnn(x)[0].squeeze(), "batch of 1"),
        (lambda self, x: torch.softmax(self.rnn(x)[0], 1), "another axis than the features"),
        (lambda self, x: self.rnn(x)[0][:, 1:3], "the part .* of the axis time"),
        (lambda self, x: self.rnn(x, self.h0)[0], "'h0'"),
        (lambda self, x: self.rnn(x)[0] if x.sum() > 0 else x, "cannot be traced"),
        (lambda self, x: F.dropout(self.rnn(x)[0], 0.5), "training=True"),
        (lambda self, x: self.rnn(x)[0].mean(), "mean over anything but"),
    ]
    for forward, match in cases:
        module = traced(forward, rnn=rnn, norm=nn.LayerNorm(7), h0=nn.Parameter(torch.zeros(1, 3, 7)))
        refused(module, match)


def test_what_derives_from_a_module_is_refused():
    class Own(nn.LSTM):
        pass

    def forward(self, x):
        return self.own(x)[0]

    refused(traced(forward, own=Own(3, 4)), "derived from a recurrent module")


def test_shapes_that_nothing_tells_need_an_example():
    def forward(self, x):
        return torch.tanh(x)

    refused(traced(forward), "give an example")
    fast = ritornello.from_torch(traced(forward).eval(), torch.zeros(2, 3))
    near(fast(np.ones((1, 3), np.float32)), np.tanh(np.ones((1, 3))), steps=1)


def test_missing_and_unknown_arguments():
    def forward(self, x, h0):
        return self.rnn(x, h0)[0]

    fast = ritornello.from_torch(traced(forward, rnn=nn.GRU(6, 7, batch_first=True)).eval())
    x, h0 = torch.randn(3, 5, 6), torch.randn(1, 3, 7)
    assert torch.equal(fast(x, h0), fast(x=x, h0=h0))
    with pytest.raises(ritornello.Error, match="input 'h0' is missing"):
        fast(x)
    with pytest.raises(TypeError, match="'y'"):
        fast(x, h0, y=1)


def test_sequences_that_the_module_packs():
    def final(self, tokens, lengths):
        packed = pack_padded_sequence(
            self.table(tokens), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        _, (h, _) = self.rnn(packed)
        return self.head(torch.cat([h[-2], h[-1]], dim=1))

    def padded(self, tokens, lengths):
        packed = nn.utils.rnn.pack_padded_sequence(self.table(tokens), lengths, True, False)
        out, (h, _) = self.rnn(packed)
        out, _ = pad_packed_sequence(out, batch_first=True)
        return {"out": out, "h": h}

    def late(self, tokens, lengths):
        packed = pack_padded_sequence(self.table(tokens), lengths, True, False)
        _, (h, _) = self.rnn(packed)
        return self.table(tokens).mean(1), h

    rnn = nn.LSTM(6, 7, 2, bidirectional=True, batch_first=True)
    layers = {"table": nn.Embedding(20, 6), "rnn": rnn, "head": nn.Linear(14, 3)}
    tokens, lengths = torch.randint(0, 20, (3, 6)), torch.tensor([2, 5, 3])
    for forward in (final, padded):
        module = traced(forward, **layers).eval()
        with torch.no_grad():
            theirs = module(tokens, lengths)
        for fast in (
            ritornello.from_torch(module),
            ritornello.from_torch(module, (tokens, lengths)),
        ):
            compare(fast(tokens, lengths), theirs, theirs, 40)
    refused(traced(late, **layers), "over a padded sequence, beside one that is packed")

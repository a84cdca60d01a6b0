"""Streams: piece by piece the bits of the whole."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import ritornello
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn


@given(
    st.sampled_from(["RNN", "LSTM", "GRU"]),
    st.booleans(),
    st.integers(1, 3),
    st.lists(st.integers(1, 4), min_size=1, max_size=4),
    st.integers(0, 99),
)
def test_any_cuts_give_the_bits_of_the_whole(kind, batch_first, layers, pieces, seed):
    torch.manual_seed(seed)
    model = ritornello.from_torch(getattr(nn, kind)(5, 7, layers, batch_first=batch_first).eval())
    batch, time = 3, sum(pieces)
    x = np.random.default_rng(seed).standard_normal((batch, time, 5), np.float32)
    ordered = (
        (lambda a: np.ascontiguousarray(a))
        if batch_first
        else (lambda a: np.ascontiguousarray(a.swapaxes(0, 1)))
    )
    whole, states = model(ordered(x))
    stream, found, start = model.stream(batch), [], 0
    for piece in pieces:
        found.append(stream.run(ordered(x[:, start : start + piece])))
        start += piece
    np.testing.assert_array_equal(np.concatenate(found, axis=1 if batch_first else 0), whole)
    stream.reset()
    steps = [stream.step(np.ascontiguousarray(x[:, t])) for t in range(time)]
    np.testing.assert_array_equal(np.stack(steps, axis=1 if batch_first else 0), whole)
    h = states[0] if kind == "LSTM" else states
    np.testing.assert_array_equal(stream.state["rnn.h"], h[-1:])


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(1)
    return ritornello.from_torch(nn.LSTM(5, 7, batch_first=True))


def test_states_are_taken_and_given(model):
    x = np.random.default_rng(1).standard_normal((2, 4, 5), np.float32)
    one, other = model.stream(2), model.stream(2)
    one.run(x)
    other.state = one.state
    np.testing.assert_array_equal(one.step(x[:, 0]), other.step(x[:, 0]))
    with pytest.raises(ritornello.Error, match="rnn.c"):
        other.state = {"rnn.h": one.state["rnn.h"]}
    with pytest.raises(ritornello.Error, match="rnn.h"):
        other.state = {**one.state, "rnn.h": np.zeros((1, 3, 7), np.float32)}


def test_memory_of_the_callers(model):
    x, out = np.ones((2, 5), np.float32), np.zeros((2, 7), np.float32)
    single = ritornello.keras_gru(
        [np.ones((5, 21), np.float32), np.ones((7, 21), np.float32)], return_sequences=True
    )
    stream = single.stream(2)
    assert stream.step(x, out=out) is out
    stream.reset()
    np.testing.assert_array_equal(stream.step(x), out)
    for bad, match in (
        (np.zeros((7, 2), np.float32).T, "not contiguous"),
        (np.zeros((7, 2), np.float32), r"expected \[2, 7\]"),
        (np.zeros((1, 2, 7), np.float32), r"expected \[2, 7\]"),
    ):
        with pytest.raises(ritornello.Error, match=match):
            stream.step(x, out=bad)


def test_memory_of_the_callers_where_the_model_gives_states_too(model):
    make = np.random.default_rng(4)
    one, other = model.stream(2), model.stream(2)
    for t in range(3):
        x, out = make.standard_normal((2, 5), np.float32), np.zeros((2, 7), np.float32)
        expected = other.run(x[:, None])[:, 0]
        assert one.step(x if t < 2 else x.astype(np.float64), out=out) is out
        np.testing.assert_array_equal(out, expected)
    for letter in "hc":
        np.testing.assert_array_equal(one.state[f"rnn.{letter}"], other.state[f"rnn.{letter}"])
    with pytest.raises(ritornello.Error, match=r"expected \[2, 7\]"):
        one.step(x, out=np.zeros((1, 7), np.float32))


def test_other_orders_in_memory(model):
    single = ritornello.keras_gru(
        [np.ones((2, 21), np.float32), np.ones((7, 21), np.float32)], return_sequences=True
    )
    x = np.random.default_rng(2).standard_normal((2, 2), np.float32)
    for any_model, features in ((single, 2), (model, 5)):
        x = np.random.default_rng(2).standard_normal((features, features), np.float32)
        stream = any_model.stream(features)
        expected = stream.step(x)
        for other in (np.asfortranarray(x), x.astype(np.float64)):
            stream.reset()
            np.testing.assert_array_equal(stream.step(other), expected)


def test_tensors_in_tensors_out(model):
    found = model.stream(2).step(torch.ones(2, 5))
    assert isinstance(found, torch.Tensor) and found.shape == (2, 7)


def test_what_does_not_fit(model):
    stream = model.stream(2)
    for bad, match in (
        (np.zeros((2, 6), np.float32), r"got \[batch 2, time 1, features 6\], expected features 5"),
        (np.zeros((3, 5), np.float32), "expected batch 2 as the stream has"),
        (np.zeros((2, 1, 5), np.float32), r"expected one step \[batch 2, features 5\]"),
    ):
        with pytest.raises(ritornello.Error, match=match):
            stream.step(bad)
    with pytest.raises(ritornello.Error, match="batch is 0"):
        model.stream(0)
    both = ritornello.from_torch(nn.LSTM(5, 7, bidirectional=True))
    with pytest.raises(ritornello.UnsupportedError, match="whole sequences"):
        both.stream(1).step(np.zeros((1, 5), np.float32))


def test_a_stream_of_two_threads_is_refused():
    torch.manual_seed(1)
    stream = ritornello.from_torch(nn.LSTM(64, 512, batch_first=True)).stream(4)
    x = np.zeros((4, 2000, 64), np.float32)
    started, refused = threading.Event(), []

    def long():
        started.set()
        stream.run(x)

    thread = threading.Thread(target=long)
    thread.start()
    started.wait()
    while thread.is_alive() and not refused:
        try:
            stream.step(x[:, 0])
        except ritornello.Error as problem:
            refused.append(str(problem))
    thread.join()
    assert refused and "in use by another thread" in refused[0]
    stream.step(np.ascontiguousarray(x[:, 0]))

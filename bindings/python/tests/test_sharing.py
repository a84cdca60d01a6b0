"""Models in many threads, in pickles and in other processes."""

from __future__ import annotations

import multiprocessing
import pickle
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
import ritornello
import torch
from torch import nn


def models():
    torch.manual_seed(1)
    keras.utils.set_random_seed(1)

    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.head = nn.GRU(5, 6, 2, bidirectional=True), nn.Linear(12, 3)

        def forward(self, x):
            out, h = self.rnn(x)
            return {"out": self.head(out[-1]), "h": h}

    chain = [
        keras.Input((None, 5)),
        keras.layers.LSTM(6, return_sequences=True),
        keras.layers.Dense(3),
    ]
    yield ritornello.from_torch(nn.LSTM(5, 6, 2, bidirectional=True, proj_size=3))
    yield ritornello.from_torch(nn.GRU(5, 6, batch_first=True), threads=2)
    yield ritornello.from_torch(Own().eval())
    yield ritornello.from_keras(keras.Sequential(chain))
    yield ritornello.keras_lstm([np.ones((5, 8), np.float32), np.ones((2, 8), np.float32)], return_state=True)


@pytest.mark.parametrize("index", range(5))
def test_a_pickle_gives_the_same_bits_and_the_same_call(index):
    model = list(models())[index]
    x = np.random.default_rng(1).standard_normal((3, 4, 5), np.float32)
    copy = pickle.loads(pickle.dumps(model))
    one, other = model(x), copy(x)
    assert type(one) is type(other)
    for a, b in zip(keras.tree.flatten(one), keras.tree.flatten(other), strict=True):
        np.testing.assert_array_equal(a, b)
    assert copy._options == model._options


def test_a_pickled_lstm_still_takes_states():
    model = next(models())
    x = torch.randn(3, 4, 5)
    hx = (torch.randn(4, 4, 3), torch.randn(4, 4, 6))
    copy = pickle.loads(pickle.dumps(model))
    assert torch.equal(copy(x, hx)[0], model(x, hx)[0])


def square(data):
    model, x = pickle.loads(data)
    return model(x)[0]


def test_other_processes():
    model = ritornello.from_torch(nn.GRU(5, 6))
    x = np.random.default_rng(1).standard_normal((3, 4, 5), np.float32)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.map(square, [pickle.dumps((model, x))])[0]
    np.testing.assert_array_equal(found, model(x)[0])


def test_many_threads_share_a_model():
    torch.manual_seed(1)
    model = ritornello.from_torch(nn.LSTM(16, 32, 2, batch_first=True))
    make = np.random.default_rng(1)
    data = [make.standard_normal((1 + i % 3, 5 + i % 7, 16), np.float32) for i in range(40)]
    expected = [model(x)[0] for x in data]
    with ThreadPoolExecutor(8) as pool:
        for found, one in zip(pool.map(lambda x: model(x)[0], data * 5), expected * 5, strict=True):
            np.testing.assert_array_equal(found, one)


def test_the_lock_of_python_is_released():
    torch.manual_seed(1)
    model = ritornello.from_torch(nn.LSTM(64, 256, batch_first=True))
    x = np.zeros((8, 2000, 64), np.float32)
    thread = threading.Thread(target=model, args=(x,))
    counted = 0
    thread.start()
    started = time.perf_counter()
    while thread.is_alive():
        time.sleep(0.001)
        counted += 1
    if time.perf_counter() - started > 0.1:
        assert counted > 10, "this thread ran while the other was in the library"


def test_neither_framework_is_imported():
    code = (
        "import sys, ritornello, numpy as np;"
        "m = ritornello.keras_gru([np.ones((3, 6), 'f4'), np.ones((2, 6), 'f4')]);"
        "m(np.ones((1, 4, 3), 'f4')); m.stream(1).step(np.ones((1, 3), 'f4'));"
        "assert not {'torch', 'keras', 'tensorflow'} & set(sys.modules), 'a framework was imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

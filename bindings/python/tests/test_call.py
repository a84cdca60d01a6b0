"""Arguments and results of calls: types, copies, memory, and what does not fit."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest
import ritornello
import torch
from torch import nn


@pytest.fixture(scope="module")
def gru():
    torch.manual_seed(1)
    return ritornello.from_torch(nn.GRU(33, 8, batch_first=True))


@pytest.fixture(scope="module")
def chain():
    keras.utils.set_random_seed(1)
    layers = [
        keras.Input((None, 33)),
        keras.layers.LSTM(8, return_sequences=True),
        keras.layers.Dense(4),
    ]
    return ritornello.from_keras(keras.Sequential(layers))


def test_wrong_shapes_are_told_by_axis(gru, chain):
    for model in (gru, chain):
        with pytest.raises(
            ritornello.Error, match=r"got \[batch 8, time 3, features 300\], expected features 33"
        ):
            model(np.zeros((8, 3, 300), np.float32))
    with pytest.raises(
        ritornello.Error, match=r"got \[8, 33\] \(2 axes\), expected \[batch, time, features 33\]"
    ):
        chain(np.zeros((8, 33), np.float32))
    with pytest.raises(
        ritornello.Error,
        match=r"initial h: got \[1, 2, 9\], expected \[layers × directions 1, batch 8",
    ):
        gru(np.zeros((8, 3, 33), np.float32), np.zeros((1, 2, 9), np.float32))
    time_major = ritornello.from_torch(nn.GRU(33, 8))
    with pytest.raises(ritornello.Error, match=r"got \[time 8, batch 3, features 300\]"):
        time_major(np.zeros((8, 3, 300), np.float32))


def test_other_batches_and_counts_of_inputs():
    a, b = keras.Input((None, 2), name="a"), keras.Input((3,), name="b")
    last = keras.layers.GRU(3)(a)
    model = ritornello.from_keras(keras.Model([a, b], keras.layers.Add()([last, b])))
    x, y = np.zeros((2, 5, 2), np.float32), np.zeros((4, 3), np.float32)
    with pytest.raises(ritornello.Error, match=r"input 'b': got \[batch 4, features 3\], expected batch 2"):
        model([x, y])
    with pytest.raises(ritornello.Error, match=r"got 1 inputs, expected 2: a \[batch, time, features 2\], b"):
        model(x)
    with pytest.raises(ritornello.Error, match="there is no input 'c'; there are: a, b"):
        model({"a": x, "c": y})


def test_lengths_and_masks_that_do_not_fit(gru):
    x = np.zeros((2, 3, 33), np.float32)
    with pytest.raises(ritornello.Error, match="4"):
        gru(x, lengths=[4, 1])
    with pytest.raises(ritornello.Error, match="one count for each row"):
        gru(x, lengths=[-1, 1])
    with pytest.raises(ritornello.Error, match="length"):
        gru(x, lengths=[1, 1, 1])
    with pytest.raises(ritornello.Error, match=r"expected \[batch, time\]"):
        gru.run([x], mask=np.ones(3, bool))
    with pytest.raises(ritornello.Error, match="not both"):
        gru.run([x], mask=np.ones((2, 3), bool), lengths=[1, 2])


def test_float64_is_rounded_and_said_once(chain):
    fresh = ritornello.from_torch(nn.LSTM(33, 8, batch_first=True))
    x = np.random.default_rng(0).standard_normal((2, 3, 33))
    with pytest.warns(UserWarning, match="float64 and is rounded") as said:
        first = fresh(x)[0]
    assert len(said) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = fresh(x)[0]
        np.testing.assert_array_equal(fresh(x.astype(np.float32))[0], first)
        fresh(x.tolist())
    np.testing.assert_array_equal(first, again)


def test_other_types_and_layouts_give_the_same(gru):
    x = np.random.default_rng(0).standard_normal((2, 3, 33), np.float32)
    expected, _ = gru(x)
    turned = np.ascontiguousarray(x.transpose(2, 1, 0)).transpose(2, 1, 0)
    assert not turned.flags.c_contiguous
    read_only = x.copy()
    read_only.flags.writeable = False
    fortran = np.asfortranarray(x)
    unaligned = np.frombuffer(b"1" + x.tobytes(), np.uint8)[1:].view(np.float32).reshape(x.shape)
    assert not unaligned.flags.aligned
    for other in (turned, fortran, unaligned, read_only, x.astype(">f4"), list(x), Dlpack(x)):
        np.testing.assert_array_equal(gru(other)[0], expected)
    halves = x.astype(np.float16)
    np.testing.assert_array_equal(gru(halves)[0], gru(halves.astype(np.float32))[0])
    bfloat = torch.from_numpy(x).bfloat16()
    assert torch.equal(gru(bfloat)[0], gru(bfloat.float())[0])
    with pytest.raises(ritornello.Error, match="complex64"):
        gru(x.astype(np.complex64))
    with pytest.raises(ritornello.Error, match="expected an array|expected float32|axes"):
        gru(np.array(["a"]))


class Dlpack:
    """An array of a framework that nobody here knows."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **kwargs):
        return self.array.__dlpack__(**kwargs)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def test_contiguous_float32_is_not_copied(gru):
    x = np.zeros((2, 3, 33), np.float32)
    assert gru._taker.numbers(x, "x") is x
    tensor = torch.zeros(2, 3, 33)
    assert gru._taker.numbers(tensor, "x").ctypes.data == tensor.data_ptr()
    shared = gru._taker.numbers(Dlpack(x), "x")
    assert shared.ctypes.data == x.ctypes.data


def test_tensors_in_tensors_out(gru):
    x = torch.randn(2, 3, 33, requires_grad=True)
    out, h = gru(x)
    assert isinstance(out, torch.Tensor) and isinstance(h, torch.Tensor) and not out.requires_grad
    with pytest.raises(ritornello.Error, match="expected the CPU"):
        gru(torch.zeros(2, 3, 33, device="meta"))


def test_out_is_checked(chain):
    x = np.zeros((2, 3, 33), np.float32)
    out = np.full((2, 3, 4), 7, np.float32)
    assert chain(x, out=out) is out
    np.testing.assert_array_equal(out, chain(x))
    for bad, match in (
        (np.zeros((2, 3, 5), np.float32), r"out\[0\] is \[2, 3, 5\], expected \[2, 3, 4\]"),
        (np.zeros((3, 2, 4), np.float32), r"expected \[2, 3, 4\]"),
        (np.zeros((2, 3, 4)), "out is float64"),
        (np.zeros((4, 3, 2), np.float32).T, "contiguous"),
    ):
        with pytest.raises(ritornello.Error, match=match):
            chain(x, out=bad)
    with pytest.raises(ritornello.Error, match="the number of outputs"):
        chain.run([x], out=[out, out.copy()])


def test_empty_batches_and_sequences(chain):
    assert chain(np.zeros((0, 3, 33), np.float32)).shape == (0, 3, 4)
    assert chain(np.zeros((2, 0, 33), np.float32)).shape == (2, 0, 4)


def test_files_that_are_not_there_or_not_read(tmp_path):
    with pytest.raises(FileNotFoundError):
        ritornello.load(tmp_path / "nothing.keras")
    (tmp_path / "model.pt").write_bytes(b"x")
    with pytest.raises(ritornello.UnsupportedError, match="state_dict"):
        ritornello.load(tmp_path / "model.pt")
    (tmp_path / "model.keras").write_bytes(b"x")
    with pytest.raises(ritornello.Error, match="model.keras"):
        ritornello.load(tmp_path / "model.keras")


def test_options_are_checked(chain, tmp_path):
    chain.save(tmp_path / "model.safetensors")
    load = lambda **options: ritornello.load(tmp_path / "model.safetensors", **options)
    x = np.random.default_rng(0).standard_normal((2, 3, 33), np.float32)
    np.testing.assert_array_equal(load(threads=2)(x), chain(x))
    assert "2 threads" in load(threads=2).explain()
    assert "portable" in load(isa="portable").explain()
    for options, match in (
        ({"threads": 0}, "number of threads"),
        ({"isa": "sse9"}, "sse9"),
        ({"precision": "f8"}, "f8"),
        ({"tune": "speed"}, "latency, throughput"),
    ):
        with pytest.raises(ritornello.Error, match=match):
            load(**options)


def test_weights_of_bf16_are_those_of_a_model_that_holds_them(tmp_path):
    torch.manual_seed(3)
    rounded = nn.LSTM(33, 8, batch_first=True)
    for name, weight in rounded.named_parameters():
        if name.startswith("weight"):
            weight.data = weight.data.bfloat16().float()
    x = torch.randn(2, 7, 33)
    exact = ritornello.from_torch(rounded, isa="portable")(x)[0]
    found = ritornello.from_torch(rounded, isa="portable", precision="bf16")
    assert (found(x)[0] - exact).abs().max() < 1e-6
    assert "bf16 on portable" in found.explain()
    other = nn.LSTM(33, 8, batch_first=True)
    distance = ritornello.from_torch(other)(x)[0] - ritornello.from_torch(other, precision="bf16")(x)[0]
    assert 1e-5 < distance.abs().max() < 0.02


def test_weights_of_bytes_are_near_and_say_so():
    torch.manual_seed(4)
    module = nn.GRU(33, 40, batch_first=True)
    x = torch.randn(2, 7, 33)
    found = ritornello.from_torch(module, precision="int8")
    assert 1e-5 < (found(x)[0] - ritornello.from_torch(module)(x)[0]).abs().max() < 0.05
    assert found.explain().startswith("int8 on ")
    x[1, 3, 5] = float("inf")
    assert found(x)[0][1, 3:].isnan().all() and found(x)[0][0].isfinite().all()


def test_a_matrix_unit_is_as_near_as_f32_and_no_bit_without():
    torch.manual_seed(5)
    module = nn.LSTM(33, 70, batch_first=True)
    x = torch.randn(3, 7, 33)
    exact = ritornello.from_torch(module)(x)[0]
    for tune in ("latency", "throughput"):
        found = ritornello.from_torch(module, precision="f32-split", tune=tune)
        explained = found.explain()
        assert explained.startswith("f32-split on ")
        torch.testing.assert_close(found(x)[0], exact, rtol=0, atol=1e-5)
        if "no matrix unit" in explained:
            assert torch.equal(found(x)[0], exact)
        else:
            assert f"for {tune}" in explained and "f32split" in explained


def test_a_spec_completes_weights(tmp_path):
    torch.manual_seed(2)
    module = nn.GRU(3, 4, batch_first=True)
    arrays = {f"rnn.{name}": w.numpy() for name, w in module.state_dict().items()}
    np.savez(tmp_path / "weights.npz", **arrays)
    spec = {
        "ritornello": 1,
        "inputs": [{"name": "x", "axes": ["batch", "time", 3]}],
        "nodes": [
            {
                "name": "g",
                "op": "gru",
                "inputs": ["x"],
                "weights": {"convention": "pytorch", "prefix": "rnn."},
            }
        ],
        "outputs": ["g", "g.h_n"],
    }
    x = torch.randn(2, 5, 3)
    out, h = ritornello.load(tmp_path / "weights.npz", spec=spec)(x)
    expected = ritornello.from_torch(module)(x)
    assert torch.equal(out, expected[0]) and torch.equal(h, expected[1])


def test_summary_explain_and_repr(chain, capsys):
    chain.summary()
    text = capsys.readouterr().out
    assert "Output Shape" in text and "lstm" in text and "Total params: 1,380" in text
    assert "f32 on" in chain.explain()
    assert "[batch, time, features 33]" in repr(chain)

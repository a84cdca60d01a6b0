"""`from_keras`: Sequential and Functional, masks, states, several inputs and outputs."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import ritornello
from conftest import near
from hypothesis import given
from hypothesis import strategies as st
from keras import layers

# Beside a framework's float32 and no float64: both may be off by as much.
BOTH = 2


def numbers(results):
    return keras.tree.map_structure(keras.ops.convert_to_numpy, results)


def check(model, x, *, steps, **kwargs):
    fast = ritornello.from_keras(model)
    theirs = numbers(model(x, training=False, **kwargs))
    ours = fast(x, **kwargs)
    keras.tree.assert_same_structure(ours, theirs)
    for found, other in zip(keras.tree.flatten(ours), keras.tree.flatten(theirs), strict=True):
        near(found, other, steps=BOTH * steps)
    return fast


def randomised(model, seed=5):
    """Biases are zero at first, so that a forgotten one would not show."""
    make = np.random.default_rng(seed)
    model.set_weights([w + make.normal(0, 0.1, w.shape).astype(np.float32) for w in model.get_weights()])
    return model


LAYER = {"SimpleRNN": layers.SimpleRNN, "LSTM": layers.LSTM, "GRU": layers.GRU}


@st.composite
def stacks(draw):
    """Random Sequential models."""
    keras.utils.set_random_seed(draw(st.integers(0, 99)))
    features = draw(st.integers(1, 6))
    parts = [keras.Input((None, features))]
    if draw(st.booleans()):
        parts.append(layers.Masking(0.0))
    count = draw(st.integers(1, 3))
    for place in range(count):
        kind = draw(st.sampled_from(sorted(LAYER)))
        keys = {
            "use_bias": draw(st.booleans()),
            "return_sequences": place + 1 < count or draw(st.booleans()),
        }
        if kind == "GRU":
            keys["reset_after"] = draw(st.booleans())
        units = draw(st.integers(1, 7))
        layer = LAYER[kind](units, dropout=0.2, **keys)
        if draw(st.booleans()):
            merge = draw(st.sampled_from(["concat", "sum", "mul", "ave"]))
            own = None
            if draw(st.booleans()):
                sequences = {"return_sequences": keys["return_sequences"]}
                own = LAYER[draw(st.sampled_from(sorted(LAYER)))](units, go_backwards=True, **sequences)
            layer = layers.Bidirectional(layer, merge_mode=merge, backward_layer=own)
        parts.append(layer)
        if draw(st.booleans()):
            parts.append(layers.Dropout(0.5))
    parts.append(
        layers.Dense(draw(st.integers(1, 4)), activation=draw(st.sampled_from([None, "relu", "softmax"])))
    )
    return randomised(keras.Sequential(parts))


@given(stacks(), st.integers(1, 5), st.integers(1, 4), st.integers(0, 99))
def test_random_sequential_models(model, time, batch, seed):
    make = np.random.default_rng(seed)
    x = make.standard_normal((batch, time, model.input_shape[-1]), np.float32)
    check(model, x, steps=time * 4)


@st.composite
def graphs(draw):
    """Random Functional models: branches that meet, layers that are shared, states handed on."""
    keras.utils.set_random_seed(draw(st.integers(0, 99)))
    units, features = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    inputs = [keras.Input((None, features)) for _ in range(draw(st.integers(1, 2)))]
    shared = LAYER[draw(st.sampled_from(sorted(LAYER)))](units, return_sequences=True)
    branches = [shared(x) for x in inputs]
    for x in inputs[: draw(st.integers(0, 2))]:
        reverse = draw(st.booleans())
        branches.append(layers.GRU(units, return_sequences=True, go_backwards=reverse)(x))
    meet = draw(st.sampled_from([layers.Concatenate, layers.Add, layers.Multiply]))
    joined = meet()(branches) if len(branches) > 1 else branches[0]
    outputs = [layers.Dense(2, activation="tanh")(joined)]
    if draw(st.booleans()):
        _, h, c = layers.LSTM(units, return_state=True)(joined)
        decoded = layers.LSTM(units, return_sequences=True)(inputs[0], initial_state=[h, c])
        outputs += [decoded, h]
    if draw(st.booleans()):
        outputs.append(layers.GlobalMaxPooling1D()(joined))
    if draw(st.booleans()):
        both = layers.Bidirectional(layers.SimpleRNN(units, return_state=True))(joined)
        outputs += list(both)
    outputs = draw(st.permutations(outputs))
    return randomised(keras.Model(inputs, outputs if len(outputs) > 1 else outputs[0]))


@given(graphs(), st.integers(1, 5), st.integers(1, 3), st.integers(0, 99))
def test_random_functional_models(model, time, batch, seed):
    make = np.random.default_rng(seed)
    data = [make.standard_normal((batch, time, x.shape[-1]), np.float32) for x in model.inputs]
    check(model, data, steps=time * 4)


def test_several_inputs_outputs_and_states():
    keras.utils.set_random_seed(1)
    x = keras.Input((None, 4), name="x")
    h0, c0 = keras.Input((6,), name="h0"), keras.Input((6,), name="c0")
    y, h, c = layers.LSTM(6, return_sequences=True, return_state=True)(x, initial_state=[h0, c0])
    z = layers.Bidirectional(layers.GRU(3, return_sequences=True))(y)
    model = randomised(keras.Model([x, h0, c0], [y, h, c, layers.Dense(2)(z)]))
    make = np.random.default_rng(2)
    data = [make.standard_normal(s, np.float32) for s in ((2, 5, 4), (2, 6), (2, 6))]
    fast = check(model, data, steps=10)
    named = fast({"x": data[0], "h0": data[1], "c0": data[2]})
    for one, other in zip(named, fast(data), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(ritornello.Error, match="input 'c0' is missing"):
        fast({"x": data[0], "h0": data[1]})


def test_outputs_in_a_dictionary_and_shared_layers():
    keras.utils.set_random_seed(1)
    a, b = keras.Input((None, 4)), keras.Input((None, 4))
    shared, head = layers.GRU(5), layers.Dense(3)
    both = layers.Concatenate()([shared(a), shared(b)])
    model = randomised(keras.Model([a, b], {"one": head(both), "two": both}))
    make = np.random.default_rng(3)
    check(model, [make.standard_normal((2, 5, 4), np.float32) for _ in range(2)], steps=6)


def test_stacked_cells_wrappers_and_embeddings():
    keras.utils.set_random_seed(1)
    cells = [layers.LSTMCell(5), layers.GRUCell(4), layers.SimpleRNNCell(3)]
    model = keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            layers.Embedding(20, 6, mask_zero=True),
            layers.RNN(cells, return_sequences=True),
            layers.Bidirectional(layers.RNN([layers.GRUCell(3), layers.LSTMCell(2)], return_sequences=True)),
            layers.TimeDistributed(layers.Dense(7, activation="tanh")),
            layers.BatchNormalization(),
            layers.GRU(5, go_backwards=True),
        ]
    )
    x = np.array([[3, 4, 5, 0, 0], [1, 2, 0, 0, 0]], np.int32)
    fast = check(randomised(model), x, steps=20)
    np.testing.assert_array_equal(fast(x), fast(x.astype(np.int64)))
    with pytest.raises(ritornello.Error, match="no row of a table"):
        fast(x.astype(np.int64) + 2**40)


def test_many_layers_of_one_class_get_their_own_weights():
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((None, 4))])
    for _ in range(3):
        model.add(layers.LSTM(4, return_sequences=True))
        model.add(layers.Dense(4))
    check(randomised(model), np.random.default_rng(4).standard_normal((2, 6, 4), np.float32), steps=36)


@pytest.mark.parametrize("zero", [True, False])
@pytest.mark.parametrize("sequences", [True, False])
def test_a_mask_beside_the_input(zero, sequences):
    keras.utils.set_random_seed(1)
    first = layers.LSTM(5, return_sequences=True, zero_output_for_mask=zero)
    second = layers.Bidirectional(layers.GRU(4, return_sequences=sequences))
    model = randomised(
        keras.Sequential([keras.Input((None, 3)), layers.Dense(3), first, second, layers.Dense(2)])
    )
    x = np.random.default_rng(6).standard_normal((3, 6, 3), np.float32)
    mask = np.array([[1, 1, 1, 1, 0, 0], [0, 1, 1, 0, 1, 0], [1] * 6], bool)
    fast = check(model, x, steps=12, mask=mask)
    with pytest.raises(ritornello.Error, match=r"the mask is \[3, 5\]"):
        fast(x, mask=mask[:, 1:])


def test_a_mask_needs_the_weights_that_were_converted():
    model = keras.Sequential([keras.Input((None, 3)), layers.LSTM(4)])
    fast = ritornello.from_keras(model)
    randomised(model)
    x, mask = np.zeros((1, 2, 3), np.float32), np.ones((1, 2), bool)
    with pytest.raises(ritornello.Error, match="other weights"):
        fast(x, mask=mask)
    indices = keras.Sequential([keras.Input((None,), dtype="int32"), layers.Embedding(5, 3), layers.LSTM(4)])
    with pytest.raises(ritornello.UnsupportedError, match="mask_zero"):
        ritornello.from_keras(indices)(np.zeros((1, 2), np.int32), mask=mask)


def test_states_that_are_kept_need_a_stream(tmp_path):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((None, 3), batch_size=2), layers.LSTM(4, stateful=True)])
    fast = ritornello.from_keras(model)
    x = np.random.default_rng(9).standard_normal((2, 5, 3), np.float32)
    model.save(tmp_path / "model.keras")
    for one in (fast, ritornello.load(tmp_path / "model.keras")):
        with pytest.raises(ritornello.UnsupportedError, match=r"fast\.stream"):
            one(x)
    stream = fast.stream(2)
    for _ in range(2):
        near(stream.run(x), numbers(model(x)), steps=BOTH * 10)


def test_weights_of_one_layer():
    keras.utils.set_random_seed(1)
    x = np.random.default_rng(7).standard_normal((2, 5, 3), np.float32)
    for make, layer in (
        (ritornello.keras_lstm, layers.LSTM(4, return_sequences=True)),
        (ritornello.keras_gru, layers.GRU(4, return_sequences=True)),
        (ritornello.keras_gru, layers.GRU(4, return_sequences=True, reset_after=False)),
        (ritornello.keras_simple_rnn, layers.SimpleRNN(4, return_sequences=True)),
    ):
        theirs = numbers(layer(x))
        near(make(layer.get_weights(), return_sequences=True)(x), theirs, steps=10)
        near(make(layer.get_weights())(x), theirs[:, -1], steps=10)
    layer = layers.LSTM(4, use_bias=False, return_state=True, go_backwards=True)
    theirs = numbers(layer(x))
    ours = ritornello.keras_lstm(layer.get_weights(), return_state=True, go_backwards=True)(x)
    for found, other in zip(ours, theirs, strict=True):
        near(found, other, steps=10)
    layer = layers.GRU(4, return_sequences=True, go_backwards=True)
    theirs = numbers(layer(x))
    ours = ritornello.keras_gru(layer.get_weights(), return_sequences=True, go_backwards=True)(x)
    near(ours, theirs, steps=10)
    with pytest.raises(ritornello.Error, match="expected 3 .kernel, recurrent_kernel, bias., or 2"):
        ritornello.keras_lstm(layer.get_weights()[:1])


def test_a_file_and_the_live_model_are_one(tmp_path):
    keras.utils.set_random_seed(1)
    model = randomised(
        keras.Sequential([keras.Input((None, 3)), layers.GRU(4, return_sequences=True), layers.Dense(2)])
    )
    model.save(tmp_path / "model.keras")
    x = np.random.default_rng(8).standard_normal((2, 5, 3), np.float32)
    fast = ritornello.from_keras(model)
    np.testing.assert_array_equal(fast(x), ritornello.load(tmp_path / "model.keras")(x))
    np.testing.assert_array_equal(fast.predict(x, verbose=0), fast(x))


def test_what_is_not_read_is_named():
    def refused(model, match):
        with pytest.raises(ritornello.UnsupportedError, match=match):
            ritornello.from_keras(model)

    refused(keras.Sequential([layers.LSTM(3)]), "is not built")
    refused(keras.Sequential([keras.Input((None, 3)), layers.Conv1D(3, 2), layers.LSTM(3)]), "Conv1D")

    class Own(keras.Model):
        def call(self, x):
            return x

    refused(Own(), "functional API")
    with pytest.raises(TypeError, match="a Keras model"):
        ritornello.from_keras(3)
    fast = ritornello.from_keras(keras.Sequential([keras.Input((None, 3)), layers.LSTM(3)]))
    with pytest.raises(ritornello.UnsupportedError, match="training=True"):
        fast(np.zeros((1, 2, 3), np.float32), training=True)

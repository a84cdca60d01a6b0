"""Prints the goldens of goldens.rs, in f32 (Keras has f64 on TensorFlow only).

Ran with keras 3.15.1, jax 0.10.2, numpy 2.4.6 and Python 3.11:
KERAS_BACKEND=numpy python goldens.py
"""
import itertools

import keras
import numpy

INPUT_SIZE, HIDDEN_SIZE, TIME, BATCH = 2, 3, 4, 2


def hard_sigmoid_fifth(x):  # Keras 1 and 2; Keras 3 has the slope 1/6
    return numpy.clip(0.2 * x + 0.5, 0.0, 1.0)


def numbers():
    """Multiples of 1/256 that repeat after 251: no two gates have the same weights."""
    source = (((97 * k) % 251 - 125) / 256 for k in itertools.count())
    return lambda *shape: numpy.array([next(source) for _ in range(numpy.prod(shape))]).reshape(shape)


def show(name, layer, gates, two_biases):
    take = numbers()  # in the order of the fields of `Recurrent`, then states, then the input
    kernel = take(gates * HIDDEN_SIZE, INPUT_SIZE).T
    recurrent_kernel = take(gates * HIDDEN_SIZE, HIDDEN_SIZE).T
    bias, recurrent_bias = take(gates * HIDDEN_SIZE), take(gates * HIDDEN_SIZE)
    states = [take(BATCH, HIDDEN_SIZE), take(BATCH, HIDDEN_SIZE)]
    x = 2 * take(BATCH, TIME, INPUT_SIZE)
    layer.build(x.shape)
    layer.set_weights([kernel, recurrent_kernel,
                       numpy.stack([bias, recurrent_bias]) if two_biases else bias + recurrent_bias])
    _, *final = layer(x, initial_state=states if gates == 4 else states[0])
    print(name, *(numpy.round(state.astype(float), 7).flatten().tolist() for state in final))


odd = dict(activation="softsign", recurrent_activation=hard_sigmoid_fifth)
show("simple relu", keras.layers.SimpleRNN(HIDDEN_SIZE, activation="relu", return_state=True), 1, False)
show("simple reverse", keras.layers.SimpleRNN(HIDDEN_SIZE, go_backwards=True, return_state=True), 1, False)
show("lstm", keras.layers.LSTM(HIDDEN_SIZE, return_state=True), 4, False)
show("lstm odd", keras.layers.LSTM(HIDDEN_SIZE, return_state=True, **odd), 4, False)
for name, reset_after in ("before", False), ("after", True):
    show(f"gru {name}", keras.layers.GRU(HIDDEN_SIZE, reset_after=reset_after, return_state=True), 3, reset_after)
    show(f"gru {name} odd", keras.layers.GRU(HIDDEN_SIZE, reset_after=reset_after, return_state=True, **odd), 3, reset_after)

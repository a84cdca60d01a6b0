"""Prints the goldens of variants.rs, in f32.

Ran with onnx 1.23.2, onnxruntime 1.31.1, torch 2.15.0, numpy 2.4.6 and Python 3.11.
"""
import itertools

import numpy
import onnxruntime
import torch
from onnx import TensorProto, helper

INPUT_SIZE, HIDDEN_SIZE, TIME, BATCH = 2, 3, 4, 2


def numbers():
    """Multiples of 1/256 that repeat after 251: no two gates have the same weights."""
    source = (((97 * k) % 251 - 125) / 256 for k in itertools.count())
    return lambda *shape: numpy.array(
        [next(source) for _ in range(numpy.prod(shape))], dtype=numpy.float32
    ).reshape(shape)


def show(name, *states):
    print(name, *(numpy.round(state.astype(float), 7).flatten().tolist() for state in states))


def onnx(name, op, order, *, peepholes=False, **attributes):
    """One ONNX layer; `order` are the places of its gates in the order of the reference."""
    gates = len(order)
    take = numbers()  # in the order of variants.rs
    blocks = lambda array: numpy.concatenate([numpy.split(array, gates)[k] for k in order])[None]
    w, r = blocks(take(gates * HIDDEN_SIZE, INPUT_SIZE)), blocks(take(gates * HIDDEN_SIZE, HIDDEN_SIZE))
    b = numpy.concatenate([blocks(take(gates * HIDDEN_SIZE)), blocks(take(gates * HIDDEN_SIZE))], axis=1)
    p = take(3, HIDDEN_SIZE)[[0, 2, 1]].reshape(1, -1)  # i f o to i o f
    h, c = take(1, BATCH, HIDDEN_SIZE), take(1, BATCH, HIDDEN_SIZE)
    x = (2 * take(BATCH, TIME, INPUT_SIZE)).transpose(1, 0, 2)
    feeds = {"X": x, "W": w, "R": r, "B": b, "h": h}
    names = ["X", "W", "R", "B", "", "h"]
    if op == "LSTM":
        feeds["c"] = c
        names.append("c")
        if peepholes:
            feeds["P"] = p
            names.append("P")
    outputs = ["Y", "Y_h", "Y_c"][: 3 if op == "LSTM" else 2]
    node = helper.make_node(op, names, outputs, hidden_size=HIDDEN_SIZE, **attributes)
    value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "g", [value(k) for k in feeds], [value(k) for k in outputs[1:]])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    show(name, *session.run(None, feeds))


def projection():
    take = numbers()
    state_size = 2
    lstm = torch.nn.LSTM(INPUT_SIZE, HIDDEN_SIZE, proj_size=state_size, batch_first=True)
    rows = 4 * HIDDEN_SIZE
    arrays = [take(rows, INPUT_SIZE), take(rows, state_size), take(rows), take(rows)]
    arrays.append(take(state_size, HIDDEN_SIZE))
    for weight, array in zip(lstm.parameters(), arrays):
        weight.data = torch.tensor(array)
    h, c = take(1, BATCH, state_size), take(1, BATCH, HIDDEN_SIZE)
    x = 2 * take(BATCH, TIME, INPUT_SIZE)
    _, states = lstm(torch.tensor(x), (torch.tensor(h), torch.tensor(c)))
    show("projection", *(state.detach().numpy() for state in states))


IOFC = [0, 3, 1, 2]
onnx("plain", "LSTM", IOFC)
onnx("peepholes", "LSTM", IOFC, peepholes=True)
onnx("peepholes clipped", "LSTM", IOFC, peepholes=True, clip=0.3)
onnx("coupled", "LSTM", IOFC, input_forget=1)
onnx("coupled peepholes", "LSTM", IOFC, input_forget=1, peepholes=True)
activations = dict(activations=["HardSigmoid", "Softsign", "LeakyRelu"])
onnx("activations", "LSTM", IOFC, activation_alpha=[0.2, 0.1], activation_beta=[0.5], **activations)
activations = dict(activations=["Sigmoid", "ScaledTanh", "Affine"])
onnx("other activations", "LSTM", IOFC, activation_alpha=[1.5, 0.5], activation_beta=[0.75, 0.25], **activations)
onnx("threshold", "RNN", [0], activations=["ThresholdedRelu"], activation_alpha=[0.125])
for reset in 0, 1:
    onnx(f"gru {reset} clipped", "GRU", [0, 1, 2], linear_before_reset=reset, clip=0.3)
onnx("rnn clipped", "RNN", [0], clip=0.3)
projection()

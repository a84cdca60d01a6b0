"""Contestants in Python: one framework per process, asked over standard input, one JSON per line.

`enter` builds the row's network from the files in its folder, `answer` writes all hidden states
[time, batch, directions * hidden] to answer.f32, `turn` times single runs for so many seconds,
`leave` forgets the row. src/rivals/python.rs is the other side.
"""

import json
import os
import sys
import time

SAMPLE = 100e-6
GATES = {"rnn": 1, "gru": 3, "lstm": 4}


class NotOffered(Exception):
    """The framework has no such cell or shape."""


def read(row, name):
    import numpy

    return numpy.fromfile(os.path.join(row["folder"], name), dtype="<f4")


def weights(row):
    """[layer][direction] of (input, recurrent, bias, recurrent bias), gates i f g o or z r n."""
    flat, at = read(row, "weights.f32"), 0
    hidden, rows = row["hidden_size"], GATES[row["cell"]] * row["hidden_size"]

    def take(*shape):
        nonlocal at
        size = 1
        for axis in shape:
            size *= axis
        part = flat[at : at + size].reshape(shape)
        at += size
        return part

    layers = []
    for layer in range(row["layers"]):
        width = row["input_size"] if layer == 0 else row["directions"] * hidden
        layers.append(
            [
                (take(rows, width), take(rows, hidden), take(rows), take(rows))
                for _ in range(row["directions"])
            ]
        )
    return layers


def turned(row, array, order):
    """The gate blocks of rows in another order."""
    import numpy

    blocks = numpy.split(array, GATES[row["cell"]])
    return numpy.concatenate([blocks[place] for place in order])


class PyTorch:
    """torch.nn.RNN, LSTM and GRU in inference mode, time first; int8 by quantize_dynamic."""

    def __init__(self, threads):
        import torch

        self.torch = torch
        torch.set_num_threads(threads)
        torch.set_num_interop_threads(1)

    @staticmethod
    def version():
        import torch

        return torch.__version__

    def enter(self, row):
        torch = self.torch
        kind = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[row["cell"]]
        net = kind(
            row["input_size"],
            row["hidden_size"],
            num_layers=row["layers"],
            bidirectional=row["directions"] == 2,
        )
        order = {"rnn": [0], "lstm": [0, 1, 2, 3], "gru": [1, 0, 2]}[row["cell"]]
        names = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
        state = {}
        for layer, sides in enumerate(weights(row)):
            for side, arrays in enumerate(sides):
                for name, array in zip(names, arrays):
                    key = f"{name}_l{layer}" + ("_reverse" if side else "")
                    state[key] = torch.from_numpy(turned(row, array, order))
        net.load_state_dict(state)
        net.eval()
        net.flatten_parameters()
        if row["precision"] == "int8":
            net = self.quantized(net)
        shape = (row["time"], row["batch"], row["input_size"])
        x = torch.from_numpy(read(row, "x.f32").reshape(shape))
        start = None
        if row["state"]:
            axes = (row["layers"] * row["directions"], row["batch"], row["hidden_size"])
            h, c = (
                torch.from_numpy(read(row, name).reshape(1, *axes[1:])).repeat(axes[0], 1, 1)
                for name in ("hidden.f32", "cell.f32")
            )
            start = (h, c) if row["cell"] == "lstm" else h

        def run():
            with torch.inference_mode():
                return net(x, start)[0]

        self.run = run

    def quantized(self, net):
        if isinstance(net, self.torch.nn.RNN):
            raise NotOffered("bytes in LSTM and GRU only")
        kinds = {self.torch.nn.LSTM, self.torch.nn.GRU}
        whole = self.torch.nn.Sequential(net)
        return self.torch.ao.quantization.quantize_dynamic(whole, kinds, self.torch.qint8)[0]

    def answer(self):
        return self.run().numpy()


class OpenVINO:
    """The ONNX file, compiled for latency on the CPU plugin, f32 or bf16."""

    def __init__(self, threads):
        import openvino

        self.core = openvino.Core()
        self.options = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
        }

    @staticmethod
    def version():
        import openvino

        return openvino.__version__.split("-")[0]

    def enter(self, row):
        model = self.core.read_model(os.path.join(row["folder"], "model.onnx"))
        options = self.options | {"INFERENCE_PRECISION_HINT": row["precision"]}
        request = self.core.compile_model(model, "CPU", options).create_infer_request()
        shape = (row["time"], row["batch"], row["input_size"])
        from openvino import Tensor

        self.x = read(row, "x.f32").reshape(shape)
        request.set_input_tensor(Tensor(self.x, shared_memory=True))
        self.request = request
        self.run = request.infer

    def answer(self):
        self.run()
        y = self.request.get_output_tensor().data  # [time, directions, batch, hidden]
        return y.transpose(0, 2, 1, 3)


class KerasXla:
    """Keras layers on TensorFlow, compiled by XLA, batch first."""

    def __init__(self, threads):
        os.environ["KERAS_BACKEND"] = "tensorflow"
        import tensorflow

        self.tf = tensorflow
        tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)
        import keras

        self.keras = keras

    @staticmethod
    def version():
        os.environ["KERAS_BACKEND"] = "tensorflow"
        import keras
        import tensorflow

        return f"{keras.__version__}, tensorflow {tensorflow.__version__}, jit_compile"

    def layer(self, row):
        layers = self.keras.layers
        if row["cell"] == "lstm":
            return layers.LSTM(row["hidden_size"], return_sequences=True)
        if row["cell"] == "gru":
            return layers.GRU(row["hidden_size"], return_sequences=True, reset_after=True)
        return layers.SimpleRNN(row["hidden_size"], return_sequences=True)

    def enter(self, row):
        import numpy

        keras, tf = self.keras, self.tf
        keras.backend.clear_session()
        stack = []
        x = y = keras.Input((row["time"], row["input_size"]), batch_size=row["batch"])
        start = None
        if row["state"]:
            axes = (row["batch"], row["hidden_size"])
            states = ("hidden.f32", "cell.f32") if row["cell"] == "lstm" else ("hidden.f32",)
            start = [tf.constant(read(row, name).reshape(axes)) for name in states]
        for sides in weights(row):
            layer = self.layer(row)
            if row["directions"] == 2:
                layer = keras.layers.Bidirectional(layer, merge_mode="concat")
            y = layer(y, initial_state=start)
            arrays = []
            for w, u, b, b_h in sides:
                bias = numpy.stack([b, b_h]) if row["cell"] == "gru" else b + b_h
                arrays += [w.T, u.T, bias]
            layer.set_weights(arrays)
            stack.append(layer)
        shape = (row["time"], row["batch"], row["input_size"])
        data = read(row, "x.f32").reshape(shape).transpose(1, 0, 2)
        data = tf.constant(numpy.ascontiguousarray(data))

        @tf.function(jit_compile=True)
        def compiled(values):
            for layer in stack:
                values = layer(values, initial_state=start)
            return values

        self.keep = (x, y, stack)
        self.run = lambda: compiled(data)

    def answer(self):
        return self.run().numpy().transpose(1, 0, 2)


def turn(run, seconds):
    """The same procedure as in src/contest.rs."""
    started, warm = time.perf_counter(), 0
    while warm == 0 or time.perf_counter() - started < seconds / 10:
        run()
        warm += 1
    elapsed = time.perf_counter() - started
    if warm == 1 and elapsed > seconds:
        return [elapsed]
    one = elapsed / warm
    calls = 1
    while one * calls < SAMPLE and calls < 1 << 16:
        calls *= 2
    samples = []
    started = time.perf_counter()
    while not samples or time.perf_counter() - started < seconds:
        sample = time.perf_counter()
        for _ in range(calls):
            run()
        samples.append((time.perf_counter() - sample) / calls)
    return samples


def serve(framework, replies):
    folder = None
    for line in sys.stdin:
        request = json.loads(line)
        reply = {}
        try:
            if request["do"] == "enter":
                folder = request["folder"]
                framework.enter(request)
            elif request["do"] == "answer":
                answer = framework.answer().astype("<f4")
                with open(os.path.join(folder, "answer.f32"), "wb") as file:
                    file.write(answer.tobytes(order="C"))
            elif request["do"] == "turn":
                reply["samples"] = turn(framework.run, request["seconds"])
            else:
                framework.run = None
        except NotOffered as reason:
            reply["not_offered"] = str(reason)
        except Exception as reason:  # whatever goes wrong is this contestant's, not the race's
            reply["failed"] = f"{type(reason).__name__}: {reason}".splitlines()[0]
        print(json.dumps(reply), file=replies, flush=True)


def main():
    frameworks = {"pytorch": PyTorch, "openvino": OpenVINO, "keras-xla": KerasXla}
    framework = frameworks[sys.argv[1]]
    if sys.argv[2] == "--version":
        print(framework.version())
        return
    # Only replies go to the parent; what libraries print goes to standard error.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(framework(int(sys.argv[3])), replies)


main()

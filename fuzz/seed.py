"""Writes the corpus: small files of tests/fixtures, or what is in them."""

import shutil
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parent / "tests" / "fixtures"


def member(source, name, target):
    path = HERE / "corpus" / target
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(FIXTURES / source) as archive:
        path.write_bytes(archive.read(name))


def whole(source, target):
    path = HERE / "corpus" / target
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(FIXTURES / source, path)


member("torch-files/zip.pt", "zip/data.pkl", "pickle/state-dict")
member("torch-files/protocol-4.pt", "protocol-4/data.pkl", "pickle/protocol-4")
member("torch-files/two.pth", "two/data.pkl", "pickle/two")
member("lstm-sequence/model.keras", "config.json", "keras_config/sequential")
member("keras-2-12/model.keras", "config.json", "keras_config/keras-2")
member("operations/model.keras", "config.json", "keras_config/operations")
member("torch-files/views.pt", "views/data.pkl", "pickle/views")
whole("keras-files/convolution.h5", "hdf5/convolution")
whole("torch-files/zip.pt", "zip/state-dict")
whole("keras-2-12/model.keras", "zip/keras-2")
whole("torch-files/model.safetensors", "safetensors/weights")
whole("shapes-t1-b1/case.npz", "npz/case")
whole("onnx-node-lstm-all/model.onnx", "onnx/node")
whole("onnx-torch-gru/model.onnx", "onnx/torch")
whole("onnx-keras-rnn/model.onnx", "onnx/loop")
whole("onnx-keras-unroll/model.onnx", "onnx/unrolled")
whole("onnx-torch-lstm-cell/model.onnx", "onnx/cell")
whole("torch-files/legacy.pt", "torch_legacy/state-dict")
whole("torch-files/spec.json", "json/spec")
whole("audio-nam/model.nam", "json/nam")
whole("audio-aida/model.json", "json/aida")

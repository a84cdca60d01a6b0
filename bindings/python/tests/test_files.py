"""Files of every kind, loaded from Python: what they give is what their frameworks gave."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import ritornello

FIXTURES = Path(os.environ["RITORNELLO_ROOT"]) / "tests/fixtures"
MODELS = sorted(
    path
    for name in ("model.onnx", "model.h5", "model.json", "model.nam")
    for path in FIXTURES.glob(f"*/{name}")
    if not (path.parent / "spec.json").exists()
)


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.parent.name)
def test_a_file_gives_what_its_framework_gave(path):
    case = np.load(path.parent / "case.npz")
    exact = np.load(path.parent / "exact.npz")
    model = ritornello.load(path)
    inputs = {name[6:]: case[name] for name in case if name.startswith("input.")}
    lengths = inputs.pop("lengths", None)
    found = model(inputs, lengths=lengths)
    found = found if isinstance(found, list) else [found]
    assert {f"output.{end.name}" for end in model.outputs} == {n for n in case if n.startswith("output.")}
    for end, y in zip(model.outputs, found):
        theirs, truth = case[f"output.{end.name}"], exact[end.name]
        assert y.shape == theirs.shape
        # The line of the library's own goldens.
        line = max(5e-7 * max(1.0, np.abs(truth).max()), 2 * np.abs(theirs - truth).max())
        assert np.abs(y - truth).max() <= line
        assert [axis if axis in ("batch", "time") else int(axis) for axis in end.axes] == [
            axis if axis in ("batch", "time") else length for axis, length in zip(end.axes, y.shape)
        ]

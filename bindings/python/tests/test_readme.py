"""The snippets of the READMEs run as they are written."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import keras
import pytest

ROOT = Path(os.environ.get("RITORNELLO_ROOT", Path(__file__).parents[3]))


def snippets(file: str) -> list[str]:
    """The code that is Python's."""
    return re.findall(r"```python\n(.*?)```", (ROOT / file).read_text(encoding="utf-8"), re.S)


def test_the_notebook_runs(capsys):
    text = (ROOT / "bindings/python/examples/notebook.ipynb").read_text(encoding="utf-8")
    scope = {"__name__": "notebook"}
    for cell in json.loads(text)["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), "notebook.ipynb", "exec"), scope)
    printed = capsys.readouterr().out
    assert "Total params" in printed and "max |diff|" in printed and "beside ritornello" in printed


@pytest.mark.parametrize("file", ["README.md", "bindings/python/README.md"])
def test_snippets_run(file, capsys):
    found = snippets(file)
    assert found, f"{file} has no snippet"
    import numpy as np

    for code in found:
        # What a reader has already.
        model = keras.Sequential([keras.Input((None, 3)), keras.layers.GRU(4)])
        x = np.zeros((2, 5, 3), np.float32)
        exec(compile(code, file, "exec"), {"model": model, "x": x, "__name__": "readme"})
    assert "max |diff|" in capsys.readouterr().out

"""Inputs and outputs of a model: their names, their axes, and what does not fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

import numpy as np


@dataclass(frozen=True)
class End:
    """An input or an output."""

    name: str
    #: sequence, vector or states
    kind: str
    #: ``batch``, ``time``, or a length; the last is the number of features
    axes: tuple[str, ...]
    is_index: bool

    def labels(self) -> list[str]:
        """What each axis is."""
        labels = []
        for place, axis in enumerate(self.axes):
            if axis in ("batch", "time"):
                labels.append(axis)
            elif place + 1 == len(self.axes) and not self.is_index:
                labels.append("features")
            elif self.kind == "states":
                labels.append("states")
            else:
                # ONNX keeps the directions of a sequence apart.
                labels.append("directions" if "time" in self.axes else "time")
        return labels

    def __str__(self) -> str:
        pairs = zip(self.labels(), self.axes)
        axes = [axis if axis == label else f"{label} {axis}" for label, axis in pairs]
        return f"[{', '.join(axes)}]"

    def described(self, shape: Sequence[int]) -> str:
        """A shape with the names of its axes, as far as there are as many."""
        if len(shape) != len(self.axes):
            return f"[{', '.join(map(str, shape))}] ({len(shape)} axes)"
        pairs = zip(self.labels(), shape)
        return f"[{', '.join(f'{label} {length}' for label, length in pairs)}]"

    def misfit(self, shape: Sequence[int]) -> str | None:
        """What does not fit, axis by axis; nothing if all does."""
        if len(shape) != len(self.axes):
            return str(self)
        wrong = [
            f"{label} {axis}"
            for label, axis, length in zip(self.labels(), self.axes, shape)
            if axis not in ("batch", "time") and int(axis) != length
        ]
        return ", ".join(wrong) or None

    def batch(self) -> int:
        """The axis that is the batch."""
        return self.axes.index("batch")


def ends(found: Sequence[tuple]) -> list[End]:
    """What the extension tells of inputs or outputs."""
    return [End(name, kind, tuple(axes), index) for name, kind, axes, index in found]


def misfits(expected: Sequence[End], arrays: Sequence[np.ndarray]) -> str | None:
    """The message that says which arrays do not fit; nothing if all do."""
    batch = None
    for end, array in zip(expected, arrays):
        problem = end.misfit(array.shape)
        if problem is None:
            rows = array.shape[end.batch()]
            if batch is not None and rows != batch:
                problem = f"batch {batch}, like the inputs before"
            batch = rows if batch is None else batch
        if problem is not None:
            return f"input '{end.name}': got {end.described(array.shape)}, expected {problem}"
    return None

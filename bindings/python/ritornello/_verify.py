"""`verify`: the same data through the original and through this library."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable

import numpy as np

from ._arrays import torch_tensor
from ._origin import converted, original_call
from ._ritornello import Error
from ._summary import table

#: Greatest difference that passes, relative to max(1, greatest number).
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Compared:
    """How one output compares."""

    name: str
    max: float
    mean: float
    #: The index of the greatest difference.
    worst: tuple[int, ...]
    #: The step of it, of an output that is a sequence.
    worst_step: int | None
    allowed: float

    @property
    def passed(self) -> bool:
        """Whether the greatest difference is allowed."""
        return self.max <= self.allowed


@dataclass(frozen=True)
class Verification:
    """How a model compares with its original."""

    outputs: list[Compared] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether every output passes."""
        return all(output.passed for output in self.outputs)

    @property
    def max(self) -> float:
        """The greatest |difference| of all outputs."""
        return max((output.max for output in self.outputs), default=0.0)

    @property
    def mean(self) -> float:
        """The greatest mean |difference| of an output."""
        return max((output.mean for output in self.outputs), default=0.0)

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        rows = [["output", "max |diff|", "mean |diff|", "allowed", "worst step", "result"]]
        for one in self.outputs:
            step = "-" if one.worst_step is None else str(one.worst_step)
            result = "same" if one.passed else "DIFFERS"
            numbers = [f"{x:.3e}" for x in (one.max, one.mean, one.allowed)]
            rows.append([one.name, *numbers, step, result])
        return table(rows, right={1, 2, 3, 4})


def verify(
    model: Any,
    x: Any,
    *more: Any,
    fast: Any = None,
    tolerance: float = TOLERANCE,
    print_fn: Callable[[str], Any] = print,
    **kwargs: Any,
) -> Verification:
    """Runs `model` and what this library makes of it on the same data, and prints how they differ.

    `model` is a Keras model or a module of PyTorch, which is converted unless `fast` is given. An
    output passes up to `tolerance` × max(1, greatest |number|).
    """
    fast = converted(model) if fast is None else fast
    expected = flat(original_call(model)(x, *more, **kwargs))
    found = flat(fast(x, *more, **kwargs))
    if len(expected) != len(found):
        raise Error(f"the original gives {len(expected)} arrays, expected {len(found)}")
    names = [end.name for end in fast.outputs]
    names += [f"output {index}" for index in range(len(names), len(found))]
    outputs = []
    for index, (theirs, ours) in enumerate(zip(expected, found)):
        end = fast.outputs[index] if index < len(fast.outputs) else None
        outputs.append(compared(names[index], end, theirs, ours, tolerance))
    result = Verification(outputs)
    print_fn(str(result))
    return result


def flat(results: Any) -> list[np.ndarray]:
    """The arrays of any structure of results, in order."""
    if isinstance(results, dict):
        return [array for value in results.values() for array in flat(value)]
    if hasattr(results, "batch_sizes"):  # a PackedSequence: of the others nothing is computed
        return flat(results.data)
    if isinstance(results, (list, tuple)):
        return [array for value in results for array in flat(value)]
    if torch_tensor(results):
        results = results.detach().cpu().numpy()
    return [np.asarray(results, dtype=np.float64)]


def compared(name: str, end: Any, theirs: np.ndarray, ours: np.ndarray, tolerance: float) -> Compared:
    """How two arrays compare."""
    if theirs.shape != ours.shape:
        raise Error(f"output '{name}' is {list(ours.shape)}, expected {list(theirs.shape)}")
    same = (theirs == ours) | (np.isnan(theirs) & np.isnan(ours))
    with np.errstate(invalid="ignore"):
        distance = np.where(same, 0.0, np.abs(theirs - ours))
    distance[np.isnan(distance)] = np.inf
    if not distance.size:
        return Compared(name, 0.0, 0.0, (), None, tolerance)
    worst = tuple(int(i) for i in np.unravel_index(distance.argmax(), distance.shape))
    labels = end.labels() if end is not None else []
    is_sequence = "time" in labels and len(labels) == len(worst)
    finite = np.abs(theirs[np.isfinite(theirs)])
    scale = max(1.0, float(finite.max(initial=0.0)))
    return Compared(
        name,
        float(distance.max()),
        float(distance.mean()),
        worst,
        worst[labels.index("time")] if is_sequence else None,
        tolerance * scale,
    )

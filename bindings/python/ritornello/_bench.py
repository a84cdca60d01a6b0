"""`bench`: how long the original and this library take for the same data."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Callable

from ._origin import converted, is_keras, original_call
from ._summary import table


@dataclass(frozen=True)
class Timing:
    """How long a call takes, in seconds."""

    name: str
    best: float
    median: float
    calls: int


@dataclass(frozen=True)
class Timings:
    """The calls that were timed; the last is this library's."""

    rows: list[Timing]

    def __str__(self) -> str:
        ours = self.rows[-1].median
        rows = [["", "best", "median", "beside ritornello"]]
        for one in self.rows:
            factor = f"{one.median / ours:.1f} x"
            rows.append([one.name, duration(one.best), duration(one.median), factor])
        return table(rows, right={1, 2, 3})


def duration(seconds: float) -> str:
    """A time in the unit that suits it."""
    for limit, factor, unit in ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms")):
        if seconds < limit:
            return f"{seconds * factor:.2f} {unit}"
    return f"{seconds:.2f} s"


def bench(
    model: Any,
    x: Any,
    *more: Any,
    fast: Any = None,
    seconds: float = 1.0,
    print_fn: Callable[[str], Any] = print,
    **kwargs: Any,
) -> Timings:
    """Times `model` and what this library makes of it, and prints both.

    Calls alternate, so that what else the machine does meets all of them; each has about `seconds`.
    """
    fast = converted(model) if fast is None else fast
    calls = [(type(model).__name__, lambda call=original_call(model): call(x, *more, **kwargs))]
    if is_keras(model) and not more and not kwargs:
        calls.append((f"{type(model).__name__}.predict", lambda: model.predict(x, verbose=0)))
    calls.append(("ritornello", lambda: fast(x, *more, **kwargs)))
    samples: list[list[float]] = [[] for _ in calls]
    for _, call in calls:
        call()
    ends = time.perf_counter() + seconds * len(calls)
    while time.perf_counter() < ends or len(samples[0]) < 3:
        for (_, call), taken in zip(calls, samples):
            started = time.perf_counter()
            call()
            taken.append(time.perf_counter() - started)
    rows = [
        Timing(name, min(taken), sorted(taken)[len(taken) // 2], len(taken))
        for (name, _), taken in zip(calls, samples)
    ]
    result = Timings(rows)
    print_fn(str(result))
    return result

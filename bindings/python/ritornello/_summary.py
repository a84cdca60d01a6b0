"""The table of layers."""

from __future__ import annotations

from typing import Any


def table(rows: list[list[str]], right: set[int] = frozenset()) -> str:
    """Rows under each other, the first of which has the headings."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = []
    for number, row in enumerate(rows):
        cells = [
            text.rjust(width) if place in right else text.ljust(width)
            for place, (text, width) in enumerate(zip(row, widths))
        ]
        lines.append("  ".join(cells).rstrip())
        if number == 0:
            lines.append("  ".join("-" * width for width in widths))
    return "\n".join(lines)


def summary_text(model: Any) -> str:
    """Layer, shape, parameters, kernel of each stage, and the sums."""
    rows = [["Layer (type)", "Output Shape", "Param #", "Kernel"]]
    total = packed = 0
    for node, op, shape, parameters, kernel, size in model._plan.stages():
        rows.append([f"{node} ({op})", shape, f"{parameters:,}", kernel or "-"])
        total += parameters
        packed += size
    ends = [f"Input:  {end.name} {end}" for end in model.inputs]
    ends += [f"Output: {end.name} {end}" for end in model.outputs]
    return "\n".join(
        [
            *ends,
            "",
            table(rows, right={2}),
            "",
            f"Total params: {total:,} ({4 * total:,} bytes; {packed:,} bytes packed for {model._plan.isa})",
        ]
    )

"""Sequences that a traced module packs: the rows have lengths, which the call is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .._ritornello import UnsupportedError
from .functions import TABLE, known
from .values import BATCH, FEATURES, TIME, Unknown, Value

#: Operations over time, which in PyTorch would see the padding.
OVER_TIME = ("mean_time", "max_time", "flatten")


@dataclass(frozen=True)
class Lengths:
    """The argument that says how many steps of each row count."""

    name: str


@dataclass(frozen=True)
class Packed:
    """A sequence whose padding is not there."""

    value: Value


@dataclass(frozen=True)
class Padded:
    """The same with zeros in its padding, as long as the longest row."""

    value: Value


def _axes(batch_first: bool) -> tuple[str, ...]:
    return (BATCH, TIME, FEATURES) if batch_first else (TIME, BATCH, FEATURES)


@known("pack_padded_sequence")
def pack(reader: Any, x: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True) -> Packed:
    """Takes the padding out; the order of the rows is nobody's business here."""
    if not isinstance(lengths, Lengths):
        raise UnsupportedError("pack_padded_sequence with lengths that are no argument of `forward`")
    x = reader.expect_value(x, "pack_padded_sequence")
    if x.axes != _axes(batch_first):
        raise reader.mismatch("pack_padded_sequence", x, _axes(batch_first))
    if x.count is not None:
        raise UnsupportedError("pack_padded_sequence of a sequence with a number of steps of its own")
    return Packed(x)


@known("pad_packed_sequence")
def pad(
    reader: Any,
    x: Any,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: Any = None,
) -> tuple[Padded, Unknown]:
    """Puts zeros into the padding."""
    if not isinstance(x, Packed):
        raise UnsupportedError("pad_packed_sequence of what was not packed")
    if padding_value != 0 or total_length is not None:
        raise UnsupportedError("pad_packed_sequence with a padding_value or a total_length")
    value = x.value
    if value.axes != _axes(batch_first):
        value = TABLE["transpose"](reader, value, 0, 1)
    return Padded(value), Unknown("the lengths that pad_packed_sequence gives")


def check(nodes: list[dict[str, Any]], free: set[str], packed: set[str]) -> None:
    """Refuses what PyTorch would compute on padding, where a call has lengths for everything.

    `free` are the values that are sequences as long as the input, `packed` the recurrent nodes whose
    padding is taken out.
    """
    for node in nodes:
        on_free = any(name in free for name in node["inputs"])
        recurrent = node["op"] in ("rnn", "lstm", "gru")
        over_time = node["op"] in OVER_TIME or node["op"] == "select" and "step" in node
        if on_free and (over_time or recurrent and node["name"] not in packed):
            raise UnsupportedError(
                f"'{node['name']}' ({node['op']}) over a padded sequence, beside one that is packed, "
                "is not run here: pack it too, or read the final states"
            )

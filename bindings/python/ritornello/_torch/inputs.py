"""What the inputs of a traced module are: told by the modules that they go to, or by an example."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from .._ritornello import UnsupportedError
from .layout import Layout

#: Operations behind which the features are others than before.
MIXING = ("cat", "concat", "concatenate", "stack", "reshape", "view", "flatten", "matmul", "bmm")


@dataclass
class Guess:
    """An input of the module."""

    name: str
    kind: str | None = None
    features: int | None = None
    is_index: bool = False
    #: Of states: how many. The kind `lengths` is no array of the model.
    count: int | None = None
    #: Of the pair (h_0, c_0) of an LSTM: the features of both.
    pair: tuple[int, ...] | None = None

    def parts(self) -> list[Guess]:
        """The arrays of the model that it stands for."""
        if self.pair is None:
            return [self]
        kind = "vector" if self.count is None else "states"
        named = zip("hc", self.pair)
        return [Guess(f"{self.name}_{letter}", kind, size, count=self.count) for letter, size in named]


def guesses(graph: fx.Graph, module: Any, examples: tuple | None) -> list[Guess]:
    """Every input that something is computed from."""
    found = []
    for place, node in enumerate(node for node in graph.nodes if node.op == "placeholder"):
        used = [user for user in node.users if not _is_check(user)]
        if not used:
            continue
        guess = Guess(str(node.target))
        if _is_lengths(node):
            found.append(Guess(guess.name, "lengths"))
            continue
        _follow(guess, node, module)
        if examples is not None and place < len(examples) and guess.pair is None:
            _from_example(guess, examples[place])
        if guess.kind is None or guess.features is None:
            raise UnsupportedError(
                f"nothing in the module tells the shape of the input '{guess.name}': give an "
                f"example, ritornello.from_torch(module, example=x)"
            )
        found.append(guess)
    return found


def _is_check(node: fx.Node) -> bool:
    return node.op == "call_function" and "assert" in str(node.target)


def _is_lengths(node: fx.Node) -> bool:
    """Whether it goes, on the way to the CPU perhaps, to where a sequence is packed."""
    for user in node.users:
        if getattr(user.target, "__name__", "") == "pack_padded_sequence":
            if user.args[1:2] == (node,) or user.kwargs.get("lengths") is node:
                return True
        elif user.target in ("cpu", "to", "long", "int") and _is_lengths(user):
            return True
    return False


def _follow(guess: Guess, start: fx.Node, module: Any) -> None:
    """Goes from user to user until a module tells what it takes."""
    waiting, seen, mixed = [(start, False)], {start}, False
    while waiting:
        node, mixed = waiting.pop(0)
        for user in node.users:
            if user in seen:
                continue
            seen.add(user)
            behind = mixed
            if user.op == "call_module":
                part = module.get_submodule(str(user.target))
                if isinstance(part, (torch.nn.RNNBase, torch.nn.RNNCellBase)):
                    taken = start in node.all_input_nodes and "getitem" in str(node.target)
                    _recurrent(guess, user, node, Layout.of_module(part), mixed, taken)
                    continue
                size = _size(part)
                if size is not None and guess.features is None and not mixed:
                    guess.features = 1 if isinstance(part, torch.nn.Embedding) else size
                    guess.is_index = isinstance(part, torch.nn.Embedding)
                behind = mixed or size is not None
            elif str(getattr(user.target, "__name__", user.target)) in MIXING:
                behind = True
            elif "getitem" in str(user.target) and guess.kind is None:
                index = user.args[1]
                first = index[0] if isinstance(index, tuple) else index
                steps = isinstance(first, slice) and isinstance(index, tuple)
                if steps and len(index) > 1 and isinstance(index[1], int):
                    guess.kind = "sequence"
            waiting.append((user, behind))
    if guess.kind is None and guess.features is not None:
        guess.kind = "vector"


def _size(part: Any) -> int | None:
    """The features that a module takes."""
    for key in ("in_features", "num_features", "num_embeddings"):
        if hasattr(part, key):
            return getattr(part, key)
    return None


def _recurrent(guess: Guess, user: fx.Node, node: fx.Node, layout: Layout, mixed: bool, taken: bool) -> None:
    """Tells what a recurrent module takes; `taken` is said of a part of a tuple."""
    arguments = [*user.args, *user.kwargs.values()]
    is_input = arguments[0] is node or user.kwargs.get("input") is node
    if is_input:
        guess.kind = guess.kind or ("vector" if layout.is_cell else "sequence")
        if guess.features is None and not mixed:
            guess.features = layout.input_size
        return
    if guess.kind is not None or mixed:
        return
    hx = user.kwargs.get("hx", arguments[1] if len(arguments) > 1 else None)
    which = list(hx).index(node) if isinstance(hx, (tuple, list)) and node in hx else 0
    guess.features = layout.state_sizes[which]
    if layout.kind == "LSTM" and (taken or not isinstance(hx, (tuple, list))):
        guess.pair = layout.state_sizes
    guess.kind = "vector" if layout.is_cell else "states"
    guess.count = None if layout.is_cell else layout.states


def _from_example(guess: Guess, example: Any) -> None:
    shape = tuple(example.shape)
    if not example.dtype.is_floating_point:
        guess.is_index, guess.features = True, 1
        guess.kind = {1: "vector", 2: "sequence"}.get(len(shape))
        return
    if len(shape) not in (2, 3):
        raise UnsupportedError(
            f"the example of the input '{guess.name}' is {list(shape)}, expected [batch, features] "
            "or a sequence with three axes"
        )
    guess.features = guess.features if guess.kind == "states" else shape[-1]
    if guess.kind != "states":
        guess.kind = "vector" if len(shape) == 2 else "sequence"

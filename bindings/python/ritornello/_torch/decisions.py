"""What an `if` or an `assert` in `forward` decides: told by an example where any data would decide the same."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx


#: What a tensor has whatever its batch, its time and its numbers are.
ATTRIBUTES = ("ndim", "dtype", "device", "is_cuda", "requires_grad", "layout")
METHODS = ("dim", "ndimension", "is_floating_point", "is_complex")
OPERATORS = {
    getattr(operator, name)
    for name in ("eq", "ne", "lt", "le", "gt", "ge", "and_", "or_", "not_", "add", "sub", "mul", "floordiv", "mod")
}


OPEN = (
    "it decides by what the batch, the time or the numbers of its data may change; only ranks, types and "
    "numbers of features may decide"
)


class Undecided(Exception):
    """What decides is not settled."""


class Decisions:
    """The values of a graph that is being made, for an example."""

    def __init__(self, module: torch.nn.Module, examples: tuple | None) -> None:
        self._module = module
        self._examples = examples
        self._values: dict[fx.Node, Any] = {}
        self._settled_nodes: set[fx.Node] = set()
        #: Whether the example is being computed: what is called meanwhile is no part of the graph.
        self.computing = False

    def decide(self, node: fx.Node) -> bool:
        """The truth of a value, if it is the same for any data of these ranks, types and features."""
        return bool(self._settled(node))

    def leave(self, graph: fx.Graph) -> None:
        """Takes out of a graph what only decided."""
        for node in reversed(graph.nodes):
            if node in self._settled_nodes and not node.users:
                graph.erase_node(node)

    def _settled(self, node: Any) -> Any:
        """The value of a node that does not depend on the batch, the time or numbers."""
        if not isinstance(node, fx.Node):
            return node
        self._settled_nodes.add(node)
        if node.op == "call_method" and not node.kwargs:
            tensor, *rest = node.args
            if node.target in METHODS and not rest:
                return getattr(self._tensor(tensor), node.target)()
            if node.target == "size" and len(rest) == 1:
                return self._features(tensor, rest[0])
        if node.op == "call_function" and node.target is getattr and node.args[1] in ATTRIBUTES:
            return getattr(self._tensor(node.args[0]), node.args[1])
        if node.op == "call_function" and node.target is operator.getitem:
            shape, place = node.args
            if isinstance(shape, fx.Node) and shape.target is getattr and shape.args[1] == "shape":
                return self._features(shape.args[0], place)
            if isinstance(shape, fx.Node) and shape.target == "size" and len(shape.args) == 1:
                return self._features(shape.args[0], place)
        if node.op == "call_function" and node.target in OPERATORS and not node.kwargs:
            return node.target(*map(self._settled, node.args))
        raise Undecided(OPEN)

    def _features(self, tensor: Any, axis: Any) -> int:
        """The length of the last axis of real numbers."""
        value = self._tensor(tensor)
        if not isinstance(axis, int) or axis not in (-1, value.dim() - 1) or not value.is_floating_point():
            raise Undecided(OPEN)
        return value.shape[-1]

    def _tensor(self, node: fx.Node) -> torch.Tensor:
        value = self._value(node)
        if not isinstance(value, torch.Tensor):
            raise Undecided(OPEN)
        return value

    def _value(self, node: Any) -> Any:
        """What a node is for the example."""
        if node not in self._values:
            outer, self.computing = self.computing, True
            try:
                self._values[node] = self._computed(node)
            finally:
                self.computing = outer
        return self._values[node]

    def _computed(self, node: fx.Node) -> Any:
        if node.op == "placeholder":
            places = [other for other in node.graph.nodes if other.op == "placeholder"]
            place = places.index(node)
            if self._examples is None or place >= len(self._examples):
                raise Undecided(
                    f"it decides by the input '{node.target}', of which an example tells rank, type and number of "
                    "features: ritornello.from_torch(module, example=x)"
                )
            return self._examples[place]
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), self._value)
        with torch.no_grad():
            if node.op == "get_attr":
                return operator.attrgetter(str(node.target))(self._module)
            if node.op == "call_module":
                return self._module.get_submodule(str(node.target))(*args, **kwargs)
            if node.op == "call_method":
                return getattr(args[0], str(node.target))(*args[1:], **kwargs)
            return node.target(*args, **kwargs)

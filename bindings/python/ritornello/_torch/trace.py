"""A module of the user's own: traced, read as a graph, built."""

from __future__ import annotations

import contextlib
import inspect
import json
import operator
from typing import Any, Iterator

import torch
from torch import fx
from torch.nn.utils import rnn as rnn_utils

from .. import _ritornello
from .._model import Model
from .._ritornello import UnsupportedError
from .decisions import Decisions
from .graph_call import GraphCall
from .inputs import Guess, guesses
from .reader import Reader
from .refusal import AxesMismatch, untraceable

#: Functions that make tensors of sizes: they see no tensor that would stop them from running.
FACTORIES = ("zeros", "ones", "full", "empty", "rand", "randn")
#: Functions of Python that would look into a tensor.
WHOLE = (rnn_utils.pack_padded_sequence, rnn_utils.pad_packed_sequence)


class Seen(fx.Proxy):
    """A tensor in tracing, into which one may write."""

    def __setitem__(self, index: Any, value: Any) -> None:
        self.tracer.create_proxy("call_function", operator.setitem, (self, index, value), {})


class Tracer(fx.Tracer):
    """Traces a module; recurrent modules stay whole, and lines of source are kept."""

    def __init__(self, decisions: Decisions) -> None:
        super().__init__(autowrap_functions=WHOLE)
        self.record_stack_traces = True
        self.decisions = decisions

    def to_bool(self, obj: fx.Proxy) -> bool:
        return self.decisions.decide(obj.node)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        if self.decisions.computing:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)

    def call_module(self, m: torch.nn.Module, forward: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        if self.decisions.computing:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def is_leaf_module(self, module: torch.nn.Module, path: str) -> bool:
        if isinstance(module, (torch.nn.RNNBase, torch.nn.RNNCellBase)):
            return True
        return super().is_leaf_module(module, path)

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return Seen(node, self)


@contextlib.contextmanager
def factories(tracer: Tracer) -> Iterator[None]:
    """Lets functions that make tensors, or look into them, be traced too, under their full names."""
    places = [(torch, name) for name in FACTORIES]
    places += [(rnn_utils, function.__name__) for function in WHOLE]
    originals = [(place, name, getattr(place, name)) for place, name in places]

    def traced(original: Any) -> Any:
        def make(*args: Any, **kwargs: Any) -> Any:
            if not hasattr(tracer, "graph") or tracer.decisions.computing:
                return original(*args, **kwargs)
            return tracer.create_proxy("call_function", original, args, kwargs)

        return make

    try:
        for place, name, original in originals:
            setattr(place, name, traced(original))
        yield
    finally:
        for place, name, original in originals:
            setattr(place, name, original)


def traced(module: Any, example: Any, options: dict[str, Any]) -> Model:
    """Makes the model of a module that is made of others."""
    examples = None if example is None else example if type(example) is tuple else (example,)
    tracer = Tracer(Decisions(module, examples))
    try:
        with factories(tracer):
            graph = tracer.trace(module, concrete_args=_absent(module, examples))
        tracer.decisions.leave(graph)
    except UnsupportedError:
        raise
    except Exception as problem:  # whatever `forward` does with what is no tensor
        raise untraceable(module, problem) from problem
    found = guesses(graph, module, examples)
    reader = _read(module, graph, found)
    native = _ritornello.Model.from_spec(json.dumps(reader.spec()), list(reader.tensors.items()))
    names = tuple(guess.name for guess in found)
    pairs = tuple(guess.name for guess in found if guess.pair is not None)
    call = GraphCall(names, reader.form, reader.arrangements, reader.lengths, pairs)
    return Model(native, call, origin=module, **options)


def _absent(module: Any, examples: tuple | None) -> dict[str, Any] | None:
    """Parameters that are None unless they are given, and are not."""
    parameters = [
        p
        for p in inspect.signature(module.forward).parameters.values()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]
    given = len(examples) if examples is not None else 0
    absent = {p.name: p.default for p in parameters[given:] if p.default is not p.empty}
    return absent or None


def _read(module: Any, graph: fx.Graph, found: list[Guess]) -> Reader:
    """Reads the graph in whichever order of batch and time its modules have."""
    first: AxesMismatch | None = None
    for batch_first in (True, False):
        reader = Reader(module, found, batch_first)
        try:
            reader.read(graph)
            return reader
        except AxesMismatch as problem:
            first = first or problem
    assert first is not None
    raise first

"""`from_keras`: a live Keras 3 model, whose configuration and weights go to the reader of files."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from typing import Any, ClassVar, Iterator

import numpy as np

from . import _ritornello
from ._arrays import Taker, mask_of
from ._model import Model
from ._plain import by_position, kept_states
from ._ritornello import Error, UnsupportedError

#: Attributes under which a layer keeps others, in the order in which each is looked for.
INNER = ("forward_layer", "backward_layer", "cell", "layer")


def from_keras(model: Any, **options: Any) -> Model:
    """Makes a model from a Keras 3 `Sequential` or `Functional` model, without a file.

    It is called like the original, `fast(x)`, `fast([x, y])`, `fast({"x": x})`, `fast(x,
    mask=mask)`, and returns what that returns, as NumPy's arrays. The weights are copied: train the
    original further and this one stays as it is.

    `options` are `threads`, `isa`, `precision` and `tune`, as for `load`.

    Raises `UnsupportedError` for a layer or an attribute that is not read, by its name.
    """
    keras = _keras_of(model)
    if not model.built or not getattr(model, "inputs", None):
        raise UnsupportedError(
            f"the Keras model '{model.name}' is not built, so that nobody knows the shapes of its "
            "weights: call it once on data, or give it a keras.Input"
        )
    config, weights = model.to_json(), list(tensors(model, keras))
    native = _ritornello.Model.from_keras(config, keras.__version__, weights, False)
    # A Sequential has one output and no structure.
    form = structure(getattr(model, "output", 0))
    convention = Keras(form, native.is_stateful, Source(config, keras.__version__, digest(weights)))
    return Model(native, convention, origin=model, **options)


def _keras_of(model: Any) -> Any:
    """The Keras 3 that the model is of."""
    keras = sys.modules.get("keras")
    if keras is not None and isinstance(model, keras.Model) and keras.__version__[0] >= "3":
        if not callable(getattr(model, "to_json", None)):
            raise UnsupportedError("this Keras cannot write a model's configuration: use Keras 3")
        if any(base.__name__ in ("Sequential", "Functional") for base in type(model).__mro__):
            return keras
        raise UnsupportedError(
            f"the Keras model '{model.name}' of class {type(model).__name__} says nothing about "
            "its computation: rebuild it with the functional API"
        )
    module = type(model).__module__.split(".")[0]
    if module in ("keras", "tf_keras", "tensorflow"):
        raise UnsupportedError(
            f"{type(model).__module__}.{type(model).__name__} is no model of Keras 3: save it in "
            "the version that it is of, load it in Keras 3, and give that"
        )
    raise TypeError(f"from_keras takes a Keras model, not {type(model).__name__}")


def snake_case(name: str) -> str:
    """A class as it is called in paths: `SimpleRNN` is `simple_rnn`."""
    letters = [letter for letter in name if letter.isalnum() or letter == "_"]
    parts: list[str] = []
    for place, letter in enumerate(letters):
        after = letters[place + 1] if place + 1 < len(letters) else ""
        lower_before = place > 0 and letters[place - 1].islower()
        if letter.isupper() and place > 0 and (after.islower() or after.isdigit() or lower_before):
            parts.append("_")
        parts.append(letter.lower())
    return "".join(parts)


def tensors(model: Any, keras: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Every weight under the path that it has in a `.keras` file."""
    yield from _listed(model.layers, "layers", keras, set())


def _listed(layers: Any, path: str, keras: Any, seen: set[int]) -> Iterator[tuple[str, np.ndarray]]:
    counts: dict[str, int] = {}
    for layer in layers:
        name = snake_case(type(layer).__name__)
        count = counts.get(name, 0)
        counts[name] = count + 1
        part = f"{name}_{count}" if count else name
        yield from _of_layer(layer, f"{path}/{part}", keras, seen)


def _of_layer(layer: Any, path: str, keras: Any, seen: set[int]) -> Iterator[tuple[str, np.ndarray]]:
    if id(layer) in seen:
        return
    seen.add(id(layer))
    store: dict[str, Any] = {}
    layer.save_own_variables(store)
    for index, variable in store.items():
        array = np.asarray(keras.ops.convert_to_numpy(variable))
        if array.dtype.kind == "f" or array.dtype.name == "bfloat16":
            array = np.ascontiguousarray(array, np.float32).reshape(array.shape)
            yield f"{path}/vars/{index}", array
    for attribute in INNER:
        inner = getattr(layer, attribute, None)
        if isinstance(inner, keras.Layer):
            yield from _of_layer(inner, f"{path}/{attribute}", keras, seen)
    cells = getattr(layer, "cells", None)
    if isinstance(cells, (list, tuple)):
        yield from _listed(cells, f"{path}/cells", keras, seen)


def structure(output: Any) -> Any:
    """How a model's outputs lie in each other, with a number for each."""
    count = iter(range(1 << 20))

    def numbered(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: numbered(value) for key, value in part.items()}
        if isinstance(part, (list, tuple)):
            return type(part)(numbered(value) for value in part)
        return next(count)

    return numbered(output)


def arranged(form: Any, results: list[Any]) -> Any:
    """The results in a structure of numbers."""
    if isinstance(form, dict):
        return {key: arranged(value, results) for key, value in form.items()}
    if isinstance(form, (list, tuple)):
        return type(form)(arranged(value, results) for value in form)
    return results[form]


def digest(weights: list[tuple[str, np.ndarray]]) -> bytes:
    """What tells weights from others."""
    hashed = hashlib.blake2b(digest_size=16)
    for path, array in weights:
        hashed.update(path.encode())
        hashed.update(array)
    return hashed.digest()


@dataclass(frozen=True)
class Source:
    """What a model with a mask is made from, when one is asked for."""

    config: str
    version: str
    #: Of the weights, which the original still has.
    weights: bytes


@dataclass(frozen=True)
class Keras:
    """The call of a Keras model."""

    #: whether a stream gives the first output alone
    streams_first: ClassVar[bool] = False

    #: How the outputs lie in each other.
    form: Any
    #: Whether layers keep their states from call to call.
    stateful: bool = False
    source: Source | None = None

    def call(self, model: Model, args: tuple, kwargs: dict[str, Any]) -> Any:
        mask, out = kwargs.pop("mask", None), kwargs.pop("out", None)
        if self.stateful:
            raise kept_states()
        if kwargs.pop("training", None):
            raise UnsupportedError("training=True is not run here: call the original to train it")
        if kwargs:
            raise TypeError(f"the call got an unexpected argument {sorted(kwargs)[0]!r}")
        arrays = by_position(model, args)
        into = None if out is None else list(out) if isinstance(out, (list, tuple)) else [out]
        if mask is None:
            return arranged(self.form, model.run(arrays, out=into))
        return arranged(self.form, self._masked(model, arrays, mask, into))

    def _masked(self, model: Model, arrays: list[Any], mask: Any, into: Any) -> list[Any]:
        """Runs the variant of the model whose input has its mask as the last feature."""
        masked = model.__dict__.get("_masked")
        if masked is None:
            masked = model._masked = self._variant(model)
        x = model._take(arrays)
        truths = mask_of(mask)
        if len(x) != 1 or truths.shape != x[0].shape[:2]:
            found = list(truths.shape)
            raise Error(f"the mask is {found}, expected [batch, time] of the only input {model.inputs[0]}")
        both = np.concatenate([x[0], truths[..., None].astype(np.float32)], axis=-1)
        return masked.run([both], out=into)

    def _variant(self, model: Model) -> Model:
        if self.source is None or len(model.inputs) != 1:
            raise UnsupportedError(
                "a mask beside several inputs, or of a model that was pickled or comes from a "
                "file, is not run here: put a Masking layer into the model"
            )
        weights = list(tensors(model._original(), sys.modules["keras"]))
        if digest(weights) != self.source.weights:
            raise Error(
                "a mask is given for the first time, and by now the original has other weights than "
                "this model: convert it again, ritornello.from_keras(model)"
            )
        source = self.source
        native = _ritornello.Model.from_keras(source.config, source.version, weights, True)
        variant = Model(native, None, **model._options)
        variant._taker = Taker()
        return variant

    def streamed(self, results: list[Any]) -> Any:
        """What a stream gives for a piece."""
        return arranged(self.form, results)

    def __reduce__(self) -> tuple:
        return Keras, (self.form, self.stateful)

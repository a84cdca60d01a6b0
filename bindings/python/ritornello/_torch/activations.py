"""PyTorch's activations by the names that a specification has."""

from __future__ import annotations

from typing import Any

from .._ritornello import UnsupportedError

#: Functions, methods and modules without parameters.
PLAIN = {
    "tanh": "tanh",
    "sigmoid": "sigmoid",
    "relu": "relu",
    "relu_": "relu",
    "relu6": "relu6",
    "selu": "selu",
    "softsign": "softsign",
    "silu": "silu",
    "exp": "exponential",
    "hardsigmoid": "hard_sigmoid",
}
#: Modules by class.
MODULES = {
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
    "ReLU": "relu",
    "ReLU6": "relu6",
    "SELU": "selu",
    "Softsign": "softsign",
    "SiLU": "silu",
    "Hardsigmoid": "hard_sigmoid",
    "LeakyReLU": "leaky_relu",
    "ELU": "elu",
    "GELU": "gelu",
    "Softplus": "softplus",
    "Hardtanh": "hardtanh",
    "Softmax": "softmax",
    "LogSoftmax": "log_softmax",
}
#: Functions with parameters: their names and defaults, in order.
PARAMETERS: dict[str, tuple[tuple[str, Any], ...]] = {
    "leaky_relu": (("negative_slope", 0.01), ("inplace", False)),
    "elu": (("alpha", 1.0), ("inplace", False)),
    "gelu": (("approximate", "none"),),
    "softplus": (("beta", 1), ("threshold", 20)),
    "hardtanh": (("min_val", -1.0), ("max_val", 1.0), ("inplace", False)),
    "softmax": (("dim", None), ("_stacklevel", 3), ("dtype", None)),
    "log_softmax": (("dim", None), ("_stacklevel", 3), ("dtype", None)),
}


def of_module(module: Any) -> tuple[str, dict[str, Any]] | None:
    """The activation that a module is, with its parameters."""
    name = MODULES.get(type(module).__name__)
    if name is None:
        return None
    keys = [key for key, _ in PARAMETERS.get(name, ()) if hasattr(module, key)]
    return name, {key: getattr(module, key) for key in keys}


def of_call(name: str, args: tuple, kwargs: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """The activation that a function or method is; `args` are those behind the tensor."""
    if name in PLAIN:
        return PLAIN[name], {}
    if name not in PARAMETERS:
        return None
    keys = [key for key, _ in PARAMETERS[name]]
    return name, {**dict(zip(keys, args)), **kwargs}


def word(name: str, parameters: dict[str, Any]) -> tuple[str, int | None]:
    """What a specification calls it, and of a softmax its axis."""
    said = {**dict(PARAMETERS.get(name, ())), **parameters}

    def refuse(key: str, expected: str) -> UnsupportedError:
        return UnsupportedError(f"{name} with {key}={said[key]!r} is not run here, expected {expected}")

    if name == "leaky_relu":
        return f"leaky_relu({said['negative_slope']})", None
    if name == "elu":
        return f"elu({said['alpha']})", None
    if name == "gelu":
        return {"none": "gelu", "tanh": "gelu_tanh"}[said["approximate"]], None
    if name == "softplus":
        if said["beta"] != 1:
            raise refuse("beta", "1")
        if said["threshold"] < 17:
            raise refuse("threshold", "20")
        return "softplus", None
    if name == "hardtanh":
        for key, limit in (("min_val", -1), ("max_val", 1)):
            if said[key] != limit:
                raise refuse(key, str(limit))
        return "hard_tanh", None
    if name in ("softmax", "log_softmax"):
        if said["dtype"] is not None and str(said["dtype"]) != "torch.float32":
            raise refuse("dtype", "float32")
        if said["dim"] is None:
            raise refuse("dim", "the last axis, -1")
        return name, said["dim"]
    return name, None

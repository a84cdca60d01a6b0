"""Arrays of any framework as NumPy's, and results as those of the caller's framework."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np

from ._ritornello import Error

F32 = np.dtype(np.float32)
I32 = np.dtype(np.int32)


def torch_tensor(x: Any) -> bool:
    """Whether it is a tensor of PyTorch, which is not imported for the question."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.Tensor)


def is_f32(x: Any) -> bool:
    """Whether the extension can read it where it is."""
    if type(x) is not np.ndarray or x.dtype != F32:
        return False
    flags = x.flags
    return flags.c_contiguous and flags.aligned


class Taker:
    """Takes a model's arguments; says once that float64 is rounded."""

    def __init__(self) -> None:
        self.warned = False

    def numbers(self, x: Any, name: str) -> np.ndarray:
        """float32, contiguous; without a copy if it is that already."""
        if is_f32(x):
            return x
        array = self._seen(x, name)
        if array.dtype == np.float64:
            if not isinstance(x, (list, tuple, float, int)) and not self.warned:
                self.warned = True
                warnings.warn(
                    f"input '{name}' is float64 and is rounded to float32, in which the model "
                    "runs; give float32 to spare the copy (this is said once for a model)",
                    UserWarning,
                    stacklevel=5,
                )
        elif array.dtype.kind not in "fiub" and array.dtype.name != "bfloat16":
            raise Error(f"input '{name}' is {array.dtype}, expected float32")
        return np.require(array, F32, "CA")

    def indices(self, x: Any, name: str) -> np.ndarray:
        """int32, contiguous; real numbers only if they are whole."""
        array = self._seen(x, name)
        if array.dtype.kind == "f":
            if not np.all(array == np.floor(array)):
                raise Error(f"input '{name}' holds numbers that are no indices, expected integers")
        elif array.dtype.kind not in "iub":
            raise Error(f"input '{name}' is {array.dtype}, expected integers")
        limits = np.iinfo(np.int32)
        if array.size and array.dtype != I32:
            least, greatest = array.min(), array.max()
            if least < limits.min or greatest > limits.max:
                found = greatest if greatest > limits.max else least
                raise Error(f"input '{name}' holds the index {found}, which is no row of a table")
        return np.require(array, I32, "CA")

    def _seen(self, x: Any, name: str) -> np.ndarray:
        """The array without a copy, if its framework gives it away."""
        if isinstance(x, np.ndarray):
            return x
        if torch_tensor(x):
            if x.device.type != "cpu":
                raise Error(f"input '{name}' is on {x.device}, expected the CPU: x.cpu()")
            x = x.detach()
            torch = sys.modules["torch"]
            if x.dtype is torch.bfloat16:
                x = x.float()
            return x.numpy() if x.dtype is torch.float32 else x.resolve_conj().numpy()
        if hasattr(x, "__dlpack__"):
            try:
                return np.from_dlpack(x)
            except (BufferError, RuntimeError, TypeError, ValueError):
                pass  # it may still give an array in another way
        try:
            return np.asarray(x)
        except Exception as problem:
            raise Error(f"input '{name}' is {type(x).__name__}, expected an array") from problem


def same_kind(array: np.ndarray, as_torch: bool) -> Any:
    """A result in the caller's framework, without a copy."""
    return sys.modules["torch"].from_numpy(array) if as_torch else array


def mask_of(mask: Any) -> np.ndarray:
    """Which steps count, as truths."""
    if torch_tensor(mask):
        mask = mask.detach().cpu().numpy()
    array = np.asarray(mask)
    if array.ndim != 2:
        raise Error(f"the mask is {list(array.shape)}, expected [batch, time]")
    return np.ascontiguousarray(array.astype(bool, copy=False))


def lengths_of(lengths: Any) -> list[int]:
    """The steps that count of each row."""
    if torch_tensor(lengths):
        lengths = lengths.detach().cpu().numpy()
    array = np.asarray(lengths)
    whole = array.ndim == 1 and (array.dtype.kind in "iu" or array.size == 0)
    if not whole or (array < 0).any():
        raise Error(f"the lengths are {array!r}, expected one count for each row of the batch")
    return [int(length) for length in array]

"""What all tests share: data, and how near results must be."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import pytest
import torch
from hypothesis import settings

# A step of an LSTM or a GRU errs by at most 4.5e-7 × max(1, |c|) beside its sums (docs/numerics.md);
# sums of the sizes here, some thirty products below 2 in magnitude, are rounded at each of them by
# 2^-24 of what they are so far: 5e-7 for both, once in each step of each layer.
STEP = 5e-7

settings.register_profile("ci", max_examples=40, deadline=None, derandomize=True)
settings.load_profile("ci")
torch.manual_seed(0)


def near(found, truth, *, steps: int, theirs=None) -> None:
    """Fails unless every number is as near the truth (in float64) as so many steps allow.

    Where the framework itself is further off, twice its distance passes: the network expands errors.
    """
    found, truth = np.asarray(found, np.float64), np.asarray(truth, np.float64)
    assert found.shape == truth.shape
    if not found.size:
        return
    allowed = STEP * steps * max(1.0, np.abs(truth).max())
    if theirs is not None:
        allowed = max(allowed, 2 * np.abs(np.asarray(theirs, np.float64) - truth).max())
    worst = np.abs(found - truth).max()
    assert worst <= allowed, f"{worst:.3e} beyond {allowed:.3e}"


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers, the same in every run."""
    return np.random.default_rng(20)

"""A model in the workers of a Dask cluster: loaded once in each, given batches.

    pip install "dask[distributed]"
    python dask_cluster.py model.safetensors data.npy result.npy

Each worker process has one thread, and the model uses one: there are as many workers as cores.
"""

from __future__ import annotations

import sys
from functools import lru_cache

import numpy as np
import ritornello
from distributed import Client, LocalCluster


@lru_cache(maxsize=None)
def model(path: str) -> ritornello.Model:
    """The model of this process."""
    return ritornello.load(path, threads=1)


def run(path: str, x: np.ndarray) -> np.ndarray:
    """One batch [batch, time, features], in a worker."""
    return model(path)(x)


def over_cluster(client: Client, path: str, x: np.ndarray, batch: int = 256) -> np.ndarray:
    """All rows of `x`, in batches. A row's bits are the same in whichever batch and worker."""
    parts = [x[start : start + batch] for start in range(0, len(x), batch)]
    futures = client.map(run, [path] * len(parts), parts, pure=False)
    return np.concatenate(client.gather(futures))


def main(path: str, data: str, result: str) -> None:
    with LocalCluster(threads_per_worker=1) as cluster, Client(cluster) as client:
        np.save(result, over_cluster(client, path, np.load(data)))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The examples for more than one machine, on this one: a table of sequences in, predictions out."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import distributed
import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
import ritornello

EXAMPLES = Path(__file__).parents[1] / "examples"
ROWS, TIME, FEATURES = 50, 6, 3


@pytest.fixture
def files(tmp_path):
    """A folder with a model and a table of several row groups; and what the model gives."""
    make = np.random.default_rng(3)
    weights = [make.normal(0, 0.3, shape).astype(np.float32) for shape in ((3, 12), (4, 12), (2, 12))]
    model = ritornello.keras_gru(weights, return_sequences=True)
    model.save(tmp_path / "model.safetensors")
    x = make.standard_normal((ROWS, TIME, FEATURES), np.float32)
    column = pa.FixedSizeListArray.from_arrays(x.reshape(-1), TIME * FEATURES)
    table = pa.table({"id": np.arange(ROWS), "x": column})
    parquet.write_table(table, tmp_path / "sequences.parquet", row_group_size=7)
    return tmp_path, model(x)


def example(name, *arguments):
    command = [sys.executable, EXAMPLES / name, *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)


def predictions(result):
    """The numbers of each id, in their order."""
    table = parquet.read_table(result).sort_by("id")
    np.testing.assert_array_equal(table["id"], np.arange(ROWS))
    return np.stack(table["y"].to_numpy())


def test_dask(files):
    folder, expected = files
    result = folder / "predictions.parquet"
    example("dask_cluster.py", folder / "model.safetensors", folder / "sequences.parquet", result, 2)
    np.testing.assert_array_equal(predictions(result), expected.reshape(ROWS, -1))


def test_dask_loads_once_in_each_of_two_processes(files, monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import dask_cluster

    folder, expected = files
    arguments = str(folder / "model.safetensors"), str(folder / "sequences.parquet")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        with distributed.Client(cluster) as client:
            table = dask_cluster.over_cluster(client, *arguments)
            workers = set(client.run(os.getpid).values())
            caches = client.run(lambda: dask_cluster.model.cache_info()).values()
    assert len(workers - {os.getpid()}) == 2
    assert sum(cache.hits + cache.misses for cache in caches) == -(-ROWS // 7)
    assert max(cache.misses for cache in caches) == 1
    np.testing.assert_array_equal(np.stack(table["y"].to_numpy()), expected.reshape(ROWS, -1))


def test_datafusion(files):
    folder, expected = files
    result = folder / "predictions.parquet"
    example("datafusion_udf.py", folder / "model.safetensors", folder / "sequences.parquet", result)
    np.testing.assert_array_equal(predictions(result), expected[:, -1, 0])


@pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason='not run: needs pip install "ray[data]"'
)
def test_ray(files):
    folder, expected = files
    result = folder / "predictions"
    example("ray_data.py", folder / "model.safetensors", folder / "sequences.parquet", result, 2)
    np.testing.assert_array_equal(predictions(result), expected.reshape(ROWS, -1))

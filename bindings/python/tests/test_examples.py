"""The examples for more than one machine, on this one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import distributed
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import ritornello

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def files(tmp_path):
    """A model of 3 features in a file, data, and what it gives."""
    make = np.random.default_rng(3)
    weights = [make.normal(0, 0.3, shape).astype(np.float32) for shape in ((3, 12), (4, 12), (2, 12))]
    model = ritornello.keras_gru(weights, return_sequences=True)
    model.save(tmp_path / "model.safetensors")
    x = make.standard_normal((50, 6, 3), np.float32)
    return tmp_path, x, model(x)


def example(name, *arguments):
    command = [sys.executable, EXAMPLES / name, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def test_dask(files):
    folder, x, expected = files
    np.save(folder / "x.npy", x)
    example("dask_cluster.py", folder / "model.safetensors", folder / "x.npy", folder / "y.npy")
    np.testing.assert_array_equal(np.load(folder / "y.npy"), expected)


def test_dask_in_several_batches(files):
    sys.path.insert(0, str(EXAMPLES))
    try:
        import dask_cluster
    finally:
        sys.path.remove(str(EXAMPLES))
    folder, x, expected = files
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        with distributed.Client(cluster) as client:
            found = dask_cluster.over_cluster(client, str(folder / "model.safetensors"), x, batch=7)
    np.testing.assert_array_equal(found, expected)


def test_datafusion(files):
    folder, x, expected = files
    column = pa.FixedSizeListArray.from_arrays(pa.array(x.reshape(-1)), 18)
    table = pa.table({"id": np.arange(len(x)), "x": column})
    pyarrow.parquet.write_table(table, folder / "x.parquet")
    printed = example("datafusion_udf.py", folder / "model.safetensors", folder / "x.parquet")
    rows = [line.split("|")[1:3] for line in printed.splitlines() if line.startswith("|")][1:]
    found = {int(key): np.float32(value) for key, value in rows}
    assert found, printed
    for key, value in found.items():
        assert value == expected[key, -1, 0]

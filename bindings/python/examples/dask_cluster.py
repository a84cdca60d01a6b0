"""A model in the workers of a Dask cluster: loaded once in each, given the row groups of a table.

    pip install "dask[distributed]" pyarrow
    python dask_cluster.py model.safetensors sequences.parquet predictions.parquet [WORKERS]

The table has an id and a column `x` of lists of as many numbers, [time × features]; the result has the
ids and a column `y` likewise. Each worker is a process with one thread, and the model uses one: unless
it is said, there are as many workers as cores.
"""

from __future__ import annotations

import sys
from functools import lru_cache

import pyarrow as pa
import pyarrow.parquet as parquet
import ritornello
from distributed import Client, LocalCluster


@lru_cache(maxsize=None)
def model(path: str) -> ritornello.Model:
    """The model of this process."""
    return ritornello.load(path, threads=1)


def predict(path: str, source: str, group: int) -> pa.Table:
    """The predictions for one row group, in a worker."""
    rnn = model(path)
    (features,) = (int(end.axes[-1]) for end in rnn.inputs)
    rows = parquet.ParquetFile(source).read_row_group(group)
    x = rows["x"].combine_chunks().flatten().to_numpy()
    y = rnn(x.reshape(len(rows), -1, features))
    lists = pa.FixedSizeListArray.from_arrays(y.reshape(-1), y.size // len(rows))
    return rows.select(["id"]).append_column("y", lists)


def over_cluster(client: Client, path: str, source: str) -> pa.Table:
    """All predictions, in the order of the rows. A row's bits are the same in whichever worker."""
    groups = range(parquet.ParquetFile(source).num_row_groups)
    futures = [client.submit(predict, path, source, group, pure=False) for group in groups]
    return pa.concat_tables(client.gather(futures))


def main(path: str, source: str, result: str, workers: str | None = None) -> None:
    count = int(workers) if workers else None
    with LocalCluster(n_workers=count, threads_per_worker=1) as cluster, Client(cluster) as client:
        parquet.write_table(over_cluster(client, path, source), result)


if __name__ == "__main__":
    main(*sys.argv[1:])

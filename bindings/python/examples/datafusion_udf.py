"""A model as a function of SQL, in DataFusion: a column of sequences to a column of numbers.

    pip install datafusion
    python datafusion_udf.py model.safetensors sequences.parquet predictions.parquet

The table has an id and a column `x` of FixedSizeList<float>[time × features]; the lists of a batch
lie behind each other, so that they are seen as an array [batch, time, features] without a copy.
"""

from __future__ import annotations

import sys

import pyarrow as pa
import ritornello
from datafusion import SessionContext, udf


def last_output(model: ritornello.Model, time: int, features: int):
    """The function: of each sequence the first number of the last step that the model gives."""

    def run(column: pa.Array) -> pa.Array:
        x = column.flatten().to_numpy(zero_copy_only=True).reshape(len(column), time, features)
        y = model(x)
        return pa.array(y[:, -1, 0] if y.ndim == 3 else y[:, 0])

    # The field is called as it is in a file.
    sequence = pa.list_(pa.field("element", pa.float32()), time * features)
    return udf(run, [sequence], pa.float32(), "immutable", name="last_output")


def main(path: str, source: str, result: str) -> None:
    model = ritornello.load(path, threads=1)
    context = SessionContext()
    context.register_parquet("sequences", source)
    (features,) = (int(end.axes[-1]) for end in model.inputs)
    length = context.table("sequences").schema().field("x").type.list_size
    context.register_udf(last_output(model, length // features, features))
    context.sql("SELECT id, last_output(x) AS y FROM sequences ORDER BY id").write_parquet(result)


if __name__ == "__main__":
    main(*sys.argv[1:])

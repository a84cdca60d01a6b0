"""A model in the actors of Ray Data: loaded once in each, given batches of a table.

    pip install "ray[data]"
    python ray_data.py model.safetensors sequences.parquet predictions [WORKERS]

The table has an id and a column `x` of lists of as many numbers, [time × features]. The result is a
folder of Parquet files with the ids and a column `y`, in which rows need not be in order. RAY_ADDRESS
says which cluster; without it one is made on this machine.
"""

from __future__ import annotations

import os
import sys

import numpy as np
import ray
import ritornello


class Predictor:
    """The model of one worker process, which has one core."""

    def __init__(self, path: str) -> None:
        self.model = ritornello.load(path, threads=1)
        (self.features,) = (int(end.axes[-1]) for end in self.model.inputs)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        x = np.stack(batch["x"]).astype(np.float32, copy=False)
        y = self.model(x.reshape(len(x), -1, self.features))
        return {"id": batch["id"], "y": y.reshape(len(y), -1)}


def main(path: str, source: str, result: str, workers: str = "2") -> None:
    if "RAY_ADDRESS" not in os.environ:
        # A cluster of this machine alone. Reading and writing want a core beside those of the workers.
        ray.init(num_cpus=int(workers) + 1)
    predictions = ray.data.read_parquet(source).map_batches(
        Predictor,
        fn_constructor_args=(path,),
        batch_size=256,
        compute=ray.data.ActorPoolStrategy(size=int(workers)),
        num_cpus=1,
    )
    predictions.write_parquet(result)


if __name__ == "__main__":
    main(*sys.argv[1:])

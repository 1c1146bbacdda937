"""Files that would take time without end."""

from __future__ import annotations

import numpy as np

from tests.saving.hostile.hdf5 import dataset, weights
from tests.saving.hostile.makers import maker


@maker("chunks")
def chunks_of_one_number(folder):
    return dataset(folder, "chunks", data=np.ones((3, 10_000), "float32"), chunks=(1, 1))


@maker("nested")
def groups_3000_deep(folder):
    def spoil(file):
        group = file
        for _ in range(3000):
            group = group.create_group("a")

    return weights(folder, "groups", spoil)

"""Data adapters and the iterator over epochs by Keras's private names: batches and steps are Keras's."""

from __future__ import annotations

import numpy as np
import torch

import torchkeras as keras
from tests import fresh_process
from torchkeras.compat.stand_ins.adapters import DataAdapter

# Runs with Keras and with this package under its name. A batch may be a tuple or a list.
SCRIPT = """
import sys
if sys.argv[1] == "ours":
    import torchkeras.as_keras
import numpy as np, torch, warnings, keras
from keras.src.backend.torch.trainer import TorchEpochIterator
from keras.src.trainers.data_adapters import get_data_adapter, ArrayDataAdapter, TorchDataLoaderAdapter
from keras.src.trainers.epoch_iterator import EpochIterator

warnings.simplefilter("ignore")
x, y = np.arange(10.0).reshape(10, 1), np.arange(10)
cut = [(x[i : i + 4], y[i : i + 4]) for i in range(0, 10, 4)]

class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return cut[index]

def seen(batch):
    return [(type(part).__name__, str(part.dtype).split(".")[-1], np.asarray(part).tolist()) for part in batch]

loader = torch.utils.data.DataLoader(list(zip(x, y)), batch_size=4)
arrays = ArrayDataAdapter(x, y, batch_size=4, class_weight={i: 1.0 + i for i in range(10)})
for adapter in (arrays, TorchDataLoaderAdapter(loader)):
    print(adapter.num_batches, adapter.batch_size, adapter.has_partial_batch, adapter.partial_batch_size)
for adapter in (arrays, get_data_adapter(Batches()), get_data_adapter(pair for pair in cut), get_data_adapter(loader)):
    print(type(adapter).__name__, adapter.num_batches)
    kind = "tensors" if "Generator" in type(adapter).__name__ else "both"
    print([seen(batch) for batch in adapter.get_torch_dataloader()])
    print(kind == "both" and [seen(batch) for batch in adapter.get_numpy_iterator()])
for iterator in (EpochIterator, TorchEpochIterator):
    for options in ({}, {"steps_per_epoch": 2}, {"steps_per_execution": 2}, {"steps_per_epoch": 3}):
        steps = iterator(x, y, batch_size=4, **options)
        print(steps.num_batches, [[(a, b, [seen(one) for one in many]) for a, b, many in steps] for epoch in range(2)])
"""


def test_adapters_give_the_batches_of_keras():
    outputs = [fresh_process.run(SCRIPT, kind, KERAS_BACKEND="torch") for kind in ("keras", "ours")]
    assert outputs[1].returncode == 0, outputs[1].stderr[-2000:]
    assert outputs[1].stdout.splitlines() == outputs[0].stdout.splitlines() and len(outputs[0].stdout) > 1000


class Halves(DataAdapter):
    """An adapter of a user's own."""

    def get_torch_dataloader(self):
        return ((torch.full((2, 1), value), torch.full((2, 1), 2 * value)) for value in (0.0, 1.0, 2.0))


def test_fit_takes_an_adapter():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    assert len(model.fit(Halves(), epochs=2, verbose=0).history["loss"]) == 2
    np.testing.assert_array_equal([batch[1][0, 0] for batch in Halves().get_numpy_iterator()], [0, 2, 4])

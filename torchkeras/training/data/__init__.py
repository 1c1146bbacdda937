"""Sources of batches, one adapter for each kind of data."""

from torchkeras.training.data.adapt import make_source as make_source
from torchkeras.training.data.named_parts import ask_for_targets as ask_for_targets
from torchkeras.training.data.named_parts import named_arrays as named_arrays
from torchkeras.training.data.named_parts import with_names as with_names
from torchkeras.training.data.pack import pack_x_y_sample_weight as pack_x_y_sample_weight
from torchkeras.training.data.pack import unpack_x_y_sample_weight as unpack_x_y_sample_weight
from torchkeras.training.data.py_dataset import PyDataset as PyDataset
from torchkeras.training.data.source import Source as Source
from torchkeras.training.data.split import train_validation_split as train_validation_split

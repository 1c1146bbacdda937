"""Several devices as one: `keras.distribution`."""

from torchkeras.distributed.distributions import DataParallel as DataParallel
from torchkeras.distributed.distributions import FullyShardedDataParallel as FullyShardedDataParallel
from torchkeras.distributed.distributions import ModelParallel as ModelParallel
from torchkeras.distributed.distributions import distribution as distribution
from torchkeras.distributed.distributions import set_distribution as set_distribution
from torchkeras.distributed.mesh import DeviceMesh as DeviceMesh
from torchkeras.distributed.mesh import LayoutMap as LayoutMap
from torchkeras.distributed.mesh import TensorLayout as TensorLayout
from torchkeras.distributed.mesh import get_device_count as get_device_count
from torchkeras.distributed.mesh import list_devices as list_devices
from torchkeras.distributed.placing import distribute_tensor as distribute_tensor
from torchkeras.distributed.placing import initialize as initialize

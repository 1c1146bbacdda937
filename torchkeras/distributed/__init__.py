"""Several processes as one: joining, sharing batches, reducing gradients and metrics."""

from torchkeras.distributed.process import barrier as barrier
from torchkeras.distributed.process import broadcast_object as broadcast_object
from torchkeras.distributed.process import gather_objects as gather_objects
from torchkeras.distributed.process import is_main_process as is_main_process
from torchkeras.distributed.process import join as join
from torchkeras.distributed.process import rank as rank
from torchkeras.distributed.process import world_size as world_size
from torchkeras.distributed.process import write_once as write_once

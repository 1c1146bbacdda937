"""Several processes as one: joining, sharing batches, reducing gradients and metrics."""

from torchkeras.distributed.calls import barrier as barrier
from torchkeras.distributed.calls import broadcast_object as broadcast_object
from torchkeras.distributed.calls import gather_objects as gather_objects
from torchkeras.distributed.calls import write_once as write_once
from torchkeras.distributed.process import is_main_process as is_main_process
from torchkeras.distributed.process import join as join
from torchkeras.distributed.process import rank as rank
from torchkeras.distributed.process import single_process as single_process
from torchkeras.distributed.process import world_size as world_size

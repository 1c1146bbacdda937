"""Settings of the library."""

from torchkeras.core.settings import backend as backend
from torchkeras.core.settings import epsilon as epsilon
from torchkeras.core.settings import floatx as floatx
from torchkeras.core.settings import image_data_format as image_data_format
from torchkeras.core.settings import set_backend as set_backend
from torchkeras.core.settings import set_epsilon as set_epsilon
from torchkeras.core.settings import set_floatx as set_floatx
from torchkeras.core.settings import set_image_data_format as set_image_data_format
from torchkeras.core.variables.session import disable_flash_attention as disable_flash_attention
from torchkeras.core.variables.session import disable_interactive_logging as disable_interactive_logging
from torchkeras.core.variables.session import disable_traceback_filtering as disable_traceback_filtering
from torchkeras.core.variables.session import enable_flash_attention as enable_flash_attention
from torchkeras.core.variables.session import enable_interactive_logging as enable_interactive_logging
from torchkeras.core.variables.session import enable_traceback_filtering as enable_traceback_filtering
from torchkeras.core.variables.session import is_flash_attention_enabled as is_flash_attention_enabled
from torchkeras.core.variables.session import is_interactive_logging_enabled as is_interactive_logging_enabled
from torchkeras.core.variables.session import is_nnx_enabled as is_nnx_enabled
from torchkeras.core.variables.session import is_traceback_filtering_enabled as is_traceback_filtering_enabled
from torchkeras.core.variables.session import max_epochs as max_epochs
from torchkeras.core.variables.session import max_steps_per_epoch as max_steps_per_epoch
from torchkeras.core.variables.session import set_max_epochs as set_max_epochs
from torchkeras.core.variables.session import set_max_steps_per_epoch as set_max_steps_per_epoch
from torchkeras.core.config.serialization import enable_unsafe_deserialization as enable_unsafe_deserialization
from torchkeras.dtype_policies import dtype_policy as dtype_policy
from torchkeras.dtype_policies import set_dtype_policy as set_dtype_policy

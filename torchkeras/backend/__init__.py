"""Keras's `backend`: settings and types."""

from torchkeras.core.variables.session import clear_session as clear_session
from torchkeras.core.settings import backend as backend
from torchkeras.core.settings import epsilon as epsilon
from torchkeras.core.settings import floatx as floatx
from torchkeras.core.settings import image_data_format as image_data_format
from torchkeras.core.settings import set_epsilon as set_epsilon
from torchkeras.core.settings import set_floatx as set_floatx
from torchkeras.core.settings import set_image_data_format as set_image_data_format
from torchkeras.core.naming import get_uid as get_uid
from torchkeras.core.symbolic.keras_tensor import is_keras_tensor as is_keras_tensor
from torchkeras.core.tensors.dtypes import is_float_dtype as is_float_dtype
from torchkeras.core.tensors.dtypes import is_int_dtype as is_int_dtype
from torchkeras.core.tensors.dtypes import result_type as result_type
from torchkeras.core.tensors.dtypes import standardize_dtype as standardize_dtype

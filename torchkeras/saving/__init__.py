"""Models and weights in files; which objects files may name."""

from torchkeras.core.registry import CustomObjectScope as CustomObjectScope
from torchkeras.core.registry import CustomObjectScope as custom_object_scope
from torchkeras.core.registry import get_custom_objects as get_custom_objects
from torchkeras.core.registry import get_registered_name as get_registered_name
from torchkeras.core.registry import get_registered_object as get_registered_object
from torchkeras.core.registry import register_keras_serializable as register_keras_serializable
from torchkeras.core.config.serialization import deserialize_keras_object as deserialize_keras_object
from torchkeras.core.config.serialization import serialize_keras_object as serialize_keras_object
from torchkeras.saving.api import load_model as load_model
from torchkeras.saving.api import load_weights as load_weights
from torchkeras.saving.api import save_model as save_model
from torchkeras.saving.api import save_weights as save_weights
from torchkeras.saving.file_editor import KerasFileEditor as KerasFileEditor
from torchkeras.saving.json import model_from_json as model_from_json
from torchkeras.saving.plain_torch.weights import load_torch_weights as load_torch_weights
from torchkeras.saving.plain_torch.weights import save_torch_weights as save_torch_weights
from torchkeras.saving.plain_torch.to_torch import to_torch as to_torch
from torchkeras.saving.plain_torch.from_torch import from_torch as from_torch

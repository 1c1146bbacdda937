"""The names of Keras that are served, as tables."""

from torchkeras.compat.names.instead import INSTEAD as INSTEAD
from torchkeras.compat.names.table import PRIVATE_MODULES as PRIVATE_MODULES
from torchkeras.compat.names.table import PUBLIC_MODULES as PUBLIC_MODULES
from torchkeras.compat.names.table import SERVED_VERSION as SERVED_VERSION

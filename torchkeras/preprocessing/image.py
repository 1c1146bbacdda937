"""Images in files and as arrays."""

from torchkeras.utils.images import array_to_img as array_to_img
from torchkeras.utils.images import img_to_array as img_to_array
from torchkeras.utils.images import load_img as load_img
from torchkeras.utils.images import save_img as save_img
from torchkeras.utils.images import smart_resize as smart_resize

"""Ops of images."""

from torchkeras.ops.image.color import hsv_to_rgb as hsv_to_rgb
from torchkeras.ops.image.color import rgb_to_grayscale as rgb_to_grayscale
from torchkeras.ops.image.color import rgb_to_hsv as rgb_to_hsv
from torchkeras.ops.image.crop import crop_images as crop_images
from torchkeras.ops.image.crop import pad_images as pad_images
from torchkeras.ops.image.filters import gaussian_blur as gaussian_blur
from torchkeras.ops.image.filters import sobel_edges as sobel_edges
from torchkeras.ops.image.filters import ssim as ssim
from torchkeras.ops.image.patches import extract_patches as extract_patches
from torchkeras.ops.image.patches import reconstruct_patches as reconstruct_patches
from torchkeras.ops.image.patches import extract_patches_3d as extract_patches_3d
from torchkeras.ops.image.resize import resize as resize
from torchkeras.ops.image.scale import scale_and_translate as scale_and_translate
from torchkeras.ops.image.warp import affine_transform as affine_transform
from torchkeras.ops.image.warp import elastic_transform as elastic_transform
from torchkeras.ops.image.warp import map_coordinates as map_coordinates
from torchkeras.ops.image.warp import perspective_transform as perspective_transform

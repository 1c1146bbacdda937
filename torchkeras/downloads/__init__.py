"""Files from the network, in a cache, checked and unpacked safely."""

from torchkeras.downloads.get_file import get_file as get_file

"""Networks whose training steps are counted: each once with Keras's layers, once as a torch user writes it.

The sizes are small where the number of calls does not depend on them: depth and structure are those of the originals.
"""

from __future__ import annotations

import launch_images as images
import launch_sequences as sequences
from launch_network import CLASSES, FEATURES, LENGTH, VOCABULARY, Network

_IMAGE = (32, 32, 3)

NETWORKS = (
    Network("ResNet-50", _IMAGE, images.resnet_layers, images.resnet_module),
    Network("BERT-base", (LENGTH,), sequences.text_layers(False), lambda: sequences.Text(False)),
    Network("GPT-2", (LENGTH,), sequences.text_layers(True), lambda: sequences.Text(True), VOCABULARY, (LENGTH,)),
    Network("MobileNetV2", _IMAGE, images.mobilenet_layers, images.mobilenet_module),
    Network("EfficientNetB0", _IMAGE, images.efficientnet_layers, images.efficientnet_module),
    Network("ConvNeXt-T", _IMAGE, images.convnext_layers, images.convnext_module),
    Network("ViT, 12 blocks", _IMAGE, sequences.vit_layers, sequences.Vit),
    Network("U-Net, 4 levels", _IMAGE, images.unet_layers, images.UNet, CLASSES, _IMAGE[:2]),
    Network("LSTM, 2 layers", (LENGTH,), sequences.lstm_layers, sequences.Lstm),
    Network("Conformer, 8 blocks", (LENGTH, FEATURES), sequences.conformer_layers, sequences.conformer_module),
)

"""Networks as torch users write them, and the same in Keras's layers with names of their own."""

from __future__ import annotations

import torch
from torch import nn

from torchkeras import layers, models

# ---------------------------------------------------------------------------- a residual network


class Block(nn.Module):
    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.downsample = None
        if stride != 1 or inside != outside:
            self.downsample = nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.conv1(x)
        x = torch.relu(self.bn1(x))
        x = self.bn2(self.conv2(x))
        return torch.relu(x + shortcut)


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.maxpool = nn.MaxPool2d(2)
        self.layer1 = nn.Sequential(Block(8, 8, 1), Block(8, 8, 1))
        self.layer2 = nn.Sequential(Block(8, 16, 2), Block(16, 16, 1))
        self.fc = nn.Linear(16, 5)

    def forward(self, x):
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        x = self.layer2(self.layer1(x))
        return self.fc(x.mean((2, 3)))


def keras_resnet(shortcut_first: bool = False):
    def conv_bn(x, filters, size, stride):
        x = layers.ZeroPadding2D(size // 2)(x) if size > 1 else x
        return layers.BatchNormalization(epsilon=1e-5)(layers.Conv2D(filters, size, stride, use_bias=False)(x))

    def block(x, filters, stride):
        def shortcut():
            return conv_bn(x, filters, 1, stride) if stride != 1 or x.shape[-1] != filters else x

        first = shortcut() if shortcut_first else None
        y = layers.ReLU()(conv_bn(x, filters, 3, stride))
        y = conv_bn(y, filters, 3, 1)
        return layers.ReLU()(layers.Add()([first, y] if shortcut_first else [y, shortcut()]))

    inputs = layers.Input((16, 16, 3))
    x = layers.MaxPooling2D()(layers.ReLU()(conv_bn(inputs, 8, 3, 1)))
    for filters, stride in [(8, 1), (8, 1), (16, 2), (16, 1)]:
        x = block(x, filters, stride)
    return models.Model(inputs, layers.Dense(5)(layers.GlobalAveragePooling2D()(x)))


# ---------------------------------------------------------------------------- a vision transformer


class EncoderBlock(nn.Module):
    def __init__(self, width: int, heads: int, packed: bool) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        if packed:
            self.self_attention = nn.MultiheadAttention(width, heads, batch_first=True)
        else:
            self.attn = Qkv(width, heads)
        self.packed = packed
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        y = self.ln_1(x)
        y = self.self_attention(y, y, y, need_weights=False)[0] if self.packed else self.attn(y)
        x = x + y
        return x + self.mlp(self.ln_2(x))


class Qkv(nn.Module):
    """Attention as many vision transformers have it: one linear module for query, key and value."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.heads = heads

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        y = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.proj(y.transpose(1, 2).flatten(2))


class VisionTransformer(nn.Module):
    def __init__(self, packed: bool = True) -> None:
        super().__init__()
        self.conv_proj = nn.Conv2d(3, 12, 4, 4)
        self.class_token = nn.Parameter(torch.randn(1, 1, 12))
        self.pos_embedding = nn.Parameter(torch.randn(1, 17, 12))
        self.layers = nn.Sequential(*(EncoderBlock(12, 3, packed) for _ in range(3)))
        self.ln = nn.LayerNorm(12)
        self.head = nn.Linear(12, 5)

    def forward(self, x):
        x = self.conv_proj(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(x.shape[0], -1, -1), x], 1) + self.pos_embedding
        return self.head(self.ln(self.layers(x))[:, 0])


class ClassToken(layers.Layer):
    def build(self, shape):
        self.token = self.add_weight(name="token", shape=(1, 1, shape[-1]), initializer="normal")

    def call(self, x):
        return torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1)


class Positions(layers.Layer):
    def build(self, shape):
        self.table = self.add_weight(name="table", shape=(1, *shape[1:]), initializer="normal")

    def call(self, x):
        return x + self.table


def keras_vit():
    inputs = layers.Input((16, 16, 3))
    x = layers.Conv2D(12, 4, 4)(inputs)
    x = Positions()(ClassToken()(layers.Reshape((-1, 12))(x)))
    for _ in range(3):
        y = layers.LayerNormalization(epsilon=1e-5)(x)
        x = layers.Add()([x, layers.MultiHeadAttention(3, 4)(y, y)])
        y = layers.LayerNormalization(epsilon=1e-5)(x)
        y = layers.Dense(12)(layers.Dense(48, "gelu")(y))
        x = layers.Add()([x, y])
    x = layers.LayerNormalization(epsilon=1e-5)(x)
    return models.Model(inputs, layers.Dense(5)(x[:, 0]))


# ---------------------------------------------------------------------------- a classifier of texts


class TextClassifier(nn.Module):
    def __init__(self, kind: type = nn.LSTM, bidirectional: bool = True, num_layers: int = 2) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 6)
        self.rnn = kind(6, 6, num_layers, batch_first=True, bidirectional=bidirectional)
        self.fc = nn.Linear(12 if bidirectional else 6, 3)

    def forward(self, x):
        return self.fc(self.rnn(self.embed(x))[0].mean(1))


def keras_text_classifier(kind: str = "LSTM", bidirectional: bool = True, num_layers: int = 2):
    inputs = layers.Input((7,), dtype="int32")
    x = layers.Embedding(20, 6)(inputs)
    for _ in range(num_layers):
        recurrent = getattr(layers, kind)(6, return_sequences=True)
        x = layers.Bidirectional(recurrent)(x) if bidirectional else recurrent(x)
    return models.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))


def shaken(module: nn.Module) -> nn.Module:
    """The module in `eval` mode, all its numbers drawn, also those that start as zeros and ones."""
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand_like(tensor) + 0.5 if "var" in name else torch.randn_like(tensor) * 0.3)
    return module.eval()

"""Torch's compiler leaves the layouts of images alone whose channels lie side by side."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import torchkeras as keras
from torchkeras.core.fast_paths.compiled_images import layout_options
from torchkeras.core.fast_paths.switch import use_fast_paths

KEPT = {"layout_optimization": False}


def options_for(module: nn.Module, x: torch.Tensor) -> list:
    """The options for the graphs that torch's compiler sees when it compiles a call."""
    found = []

    def backend(graph, example_inputs):
        found.append(layout_options(graph))
        return graph

    torch.compile(module, backend=backend, fullgraph=True)(x)
    return found


def convolutions(data_format: str) -> keras.Sequential:
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Conv2D(4, 3, padding="same", data_format=data_format),
            layers.ReLU(),
            layers.DepthwiseConv2D(3, data_format=data_format),
            layers.Conv2DTranspose(2, 2, data_format=data_format),
        ]
    )


@pytest.mark.parametrize(
    ("data_format", "shape", "wanted"),
    [
        ("channels_last", (2, 6, 6, 3), [KEPT]),
        ("channels_last", (2, 6, 6, 1), [KEPT]),
        ("channels_first", (2, 3, 6, 6), [{}]),
    ],
)
def test_layouts_are_kept_where_the_channels_lie_side_by_side(data_format, shape, wanted):
    model = convolutions(data_format)
    model(torch.rand(shape))
    assert options_for(model, torch.rand(shape)) == wanted


def test_one_convolution_of_planes_leaves_the_compilers_choice():
    class Both(nn.Module):
        def forward(self, x):
            weight = torch.ones(2, 3, 1, 1)
            return torch.conv2d(x, weight), torch.conv2d(x.permute(0, 3, 1, 2), weight)

    assert options_for(Both(), torch.rand(1, 3, 3, 3)) == [{}]


def test_a_graph_without_convolutions_and_the_switch():
    assert options_for(nn.Linear(2, 2), torch.rand(1, 2)) == [{}]
    before = use_fast_paths(False)
    try:
        assert options_for(nn.Conv2d(1, 2, 1), torch.rand(1, 1, 3, 3)) == [{}]
    finally:
        use_fast_paths(before)

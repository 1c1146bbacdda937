"""`keras.visualization`: pixels against Keras and the geometry of boxes, files, errors in the words of Keras."""

from __future__ import annotations

import builtins

import keras
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from torchkeras import visualization as ours

matplotlib.use("Agg")
theirs = keras.visualization
RED = (255, 0, 0)


def one_box(box, label=0, **more):
    return {"boxes": np.array([[box]], "float32"), "labels": np.array([[label]]), **more}


@pytest.mark.parametrize("thickness, width", [(1, 1), (2, 3), (3, 3), (4, 5)])
def test_lines_lie_on_the_edges(thickness, width):
    drawn = ours.draw_bounding_boxes(
        np.zeros((1, 40, 50, 3), "uint8"), one_box([10, 12, 30, 28]), "xyxy", color=RED, line_thickness=thickness
    )[0]
    is_red = (drawn == RED).all(-1)
    assert (is_red[20].nonzero()[0] == np.concatenate([x + np.arange(width) - width // 2 for x in (10, 30)])).all()
    assert (is_red[:, 20].nonzero()[0] == np.concatenate([y + np.arange(width) - width // 2 for y in (12, 28)])).all()
    assert drawn.sum() == 255 * is_red.sum()


def test_boxes_beyond_the_image_and_padding():
    images = np.full((1, 20, 20, 3), 7, "uint8")
    assert (ours.draw_bounding_boxes(images, one_box([2, 2, 9, 9], label=-1), "xyxy") == 7).all()
    drawn = ours.draw_bounding_boxes(images, one_box([-50, 5, 10, 90]), "xyxy", color=RED)[0]
    assert (drawn[5, :10] == RED).all() and (drawn[5:, 10] == RED).all() and (drawn[10:, :8] == 7).all()
    assert (images == 7).all()


@pytest.mark.parametrize("bounding_box_format", ["yxyx", "xywh", "rel_xyxy", "center_xywh"])
def test_formats_and_layouts_draw_the_same(bounding_box_format, rng):
    images = rng.integers(0, 256, (2, 30, 40, 3), "uint8")
    corners = np.array([[[4, 5, 20, 25], [8, 2, 30, 9]], [[0, 0, 39, 29], [1, 1, 2, 2]]], "float32")
    labels = np.array([[0, 1], [1, -1]])
    expected = ours.draw_bounding_boxes(images, {"boxes": corners, "labels": labels}, "xyxy")
    converted = keras.utils.bounding_boxes.convert_format(corners + 0.01, "xyxy", bounding_box_format, 30, 40)
    boxes = {"boxes": converted, "labels": torch.from_numpy(labels)}
    for given in (images, torch.from_numpy(images), images.astype("float32"), images.astype("float64") / 255):
        np.testing.assert_allclose(
            ours.draw_bounding_boxes(given, boxes, bounding_box_format).astype(int), expected, atol=1
        )
    first = ours.draw_bounding_boxes(
        images.transpose(0, 3, 1, 2), boxes, bounding_box_format, data_format="channels_first"
    )
    np.testing.assert_array_equal(first.transpose(0, 2, 3, 1), expected)
    gray = ours.draw_bounding_boxes(images[..., :1], boxes, bounding_box_format, color=(9, 8, 7))
    assert gray.shape == (2, 30, 40, 1) and (gray[0, 5, 4:20] == 9).all()


def test_names_of_classes():
    images = np.zeros((1, 60, 200, 3), "uint8")
    box = one_box([10, 40, 190, 55], label=3)
    plain = ours.draw_bounding_boxes(images, box, "xyxy", color=RED)
    assert (ours.draw_bounding_boxes(images, box, "xyxy", {2: "cat"}, RED) == plain).all()
    named = ours.draw_bounding_boxes(images, box, "xyxy", {3: "cat"}, RED)
    ink = (named != plain).any(-1)[0].nonzero()
    assert 5 < ink[0].min() and ink[0].max() <= 40 - 8 + 1 and 10 <= ink[1].min()  # above the box
    scored = ours.draw_bounding_boxes(images, box | {"confidences": np.array([[0.5]])}, "xyxy", {3: "cat"}, RED)
    assert (scored != plain).any(-1)[0].nonzero()[1].max() > ink[1].max()
    bold = ours.draw_bounding_boxes(images, box, "xyxy", {3: "cat"}, RED, text_thickness=3)
    small = ours.draw_bounding_boxes(images, box, "xyxy", {3: "cat"}, RED, font_scale=0.4)
    assert small.sum() < named.sum() < bold.sum()
    inside = ours.draw_bounding_boxes(images, one_box([10, 4, 190, 55], label=3), "xyxy", {3: "cat"}, RED)
    assert inside.sum() > ours.draw_bounding_boxes(images, one_box([10, 4, 190, 55]), "xyxy", {}, RED).sum()


@pytest.mark.parametrize("arguments", [{}, {"alpha": 0.3}, {"ignore_index": 2}])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_segmentation_masks_against_keras(arguments, data_format, rng):
    images, masks = rng.integers(0, 256, (2, 6, 5, 3), "uint8"), rng.integers(0, 4, (2, 6, 5, 1), "int32")
    if data_format == "channels_first":
        images, masks = images.transpose(0, 3, 1, 2), masks.transpose(0, 3, 1, 2)
    colors = {label: tuple(rng.integers(0, 256, 3).tolist()) for label in range(4)}
    for more in ({}, {"color_mapping": colors}):
        given = dict(num_classes=4, data_format=data_format, **arguments, **more)
        mine = ours.draw_segmentation_masks(images, masks, **given)
        np.testing.assert_array_equal(mine, theirs.draw_segmentation_masks(images, masks, **given))
        without_channel = masks[:, 0] if data_format == "channels_first" else masks[..., 0]
        np.testing.assert_array_equal(ours.draw_segmentation_masks(images, without_channel, **given), mine)
    opaque = ours.draw_segmentation_masks(images, masks, blend=False, **given)
    assert opaque.dtype == np.uint8
    # All classes are drawn where their number is not given, and those without a color stay as they are.
    del given["num_classes"]
    np.testing.assert_array_equal(ours.draw_segmentation_masks(images, masks, **given), mine)
    given["color_mapping"] = {1: RED}
    pixels = images.transpose(0, 2, 3, 1) if data_format == "channels_first" else images
    is_other = masks.squeeze() != 1
    assert (np.abs(ours.draw_segmentation_masks(images, masks, **given).astype(int) - pixels)[is_other] <= 1).all()


@pytest.fixture
def shown(monkeypatch):
    """The pictures and titles of each figure that a call shows or saves, row by row."""
    found = []

    def record(figure):
        axes = [axis for axis in figure.axes if axis.images]
        pictures = [np.asarray(axis.images[0].get_array()) for axis in axes]
        found.append((pictures, [axis.get_title() for axis in axes], len(figure.axes)))

    monkeypatch.setattr(plt, "show", lambda: record(plt.gcf()))
    yield found
    plt.close("all")


def test_image_gallery(shown, rng):
    images = rng.integers(0, 256, (5, 4, 4, 3), "uint8")
    labels, names = np.array([0, 1, 1, 0, 7]), {0: "cat", 1: "dog"}
    ours.plot_image_gallery(images, y_true=labels, y_pred=torch.from_numpy(labels[::-1].copy()), label_map=names)
    ours.plot_image_gallery(images / 255, value_range=(0, 1), cols=5)
    ours.plot_image_gallery(images.transpose(0, 3, 1, 2), rows=1, cols=2, data_format="channels_first")
    ours.plot_image_gallery(torch.from_numpy(images[..., :1]), rows=2)
    (pictures, titles, axes), scaled, first, gray = shown
    np.testing.assert_array_equal(pictures, images)
    assert titles[0] == "Label: cat  Pred: Unknown" and titles[1] == "Label: dog  Pred: cat" and axes == 6
    np.testing.assert_allclose(np.array(scaled[0], int), images, atol=1)
    np.testing.assert_array_equal(first[0], images[:2])
    assert scaled[2] == 5 and gray[2] == 6
    assert not plt.get_fignums()
    ours.plot_image_gallery(images, show=False)
    assert len(plt.get_fignums()) == 1


def test_galleries_of_boxes_and_masks(shown, rng):
    images, boxes = (
        rng.uniform(size=(2, 16, 16, 3)),
        {"boxes": np.array([[[3, 4, 12, 13]]] * 2), "labels": np.zeros((2, 1))},
    )
    ours.plot_bounding_box_gallery(images, "xyxy", boxes, boxes, value_range=(0, 1), legend=True, pred_color=RED)
    np.testing.assert_array_equal(shown[0][0][1][4, 3:13], [RED] * 10)
    masks = rng.integers(0, 3, (2, 16, 16, 1))
    ours.plot_segmentation_mask_gallery(images, 3, (0, 1), y_true=masks, y_pred=masks[..., 0])
    pictures = np.array(shown[1][0]).reshape(2, 3, 16, 16, 3)
    np.testing.assert_allclose(pictures[:, 0].astype(int), images * 255, atol=1)
    np.testing.assert_array_equal(pictures[:, 1], ours.draw_segmentation_masks(pictures[:, 0], masks, 3))
    np.testing.assert_array_equal(pictures[:, 1], pictures[:, 2])


def test_figures_are_saved(tmp_path, rng):
    path = tmp_path / "gallery.png"
    boxes = {"boxes": np.array([[[3, 4, 12, 13]]] * 3), "labels": np.zeros((3, 1))}
    images = rng.integers(0, 256, (3, 16, 16, 3), "uint8")
    ours.plot_bounding_box_gallery(images, "xyxy", boxes, legend=True, path=path, scale=1, dpi=50, transparent=False)
    with Image.open(path) as picture:
        assert 90 < picture.size[0] < 260 and picture.size[1] > 110  # two columns, two rows and the legend
    assert not plt.get_fignums()


IMAGES = np.zeros((1, 4, 4, 3), "uint8")
ERRORS = [
    ("draw_segmentation_masks", (IMAGES[0], IMAGES[..., :1]), {}, ValueError, "`images` must be batched 4D tensor"),
    ("draw_segmentation_masks", (IMAGES, IMAGES[..., :1] / 2), {}, TypeError, "must be in integer dtype"),
    ("plot_image_gallery", (IMAGES,), {"path": "a.png", "show": True}, ValueError, "either `path` to be set"),
    ("plot_image_gallery", (IMAGES,), {"y_true": [0]}, ValueError, "a `label_map` must also be provided"),
    ("plot_image_gallery", (IMAGES[0],), {}, ValueError, "requires you to batch your `np.array` samples"),
    ("plot_bounding_box_gallery", (IMAGES[0], "xyxy"), {}, ValueError, "`images` must be batched 4D tensor"),
    (
        *("plot_bounding_box_gallery", (IMAGES, "xyxy"), {"legend": True, "legend_handles": [1]}, ValueError),
        "Only pass `legend` OR `legend_handles`",
    ),
    ("plot_segmentation_mask_gallery", (IMAGES[0], 2), {}, ValueError, "`images` must be batched 4D tensor"),
]


@pytest.mark.parametrize("name, arguments, more, error, words", ERRORS)
def test_errors_have_the_words_of_keras(name, arguments, more, error, words):
    for module in (ours, theirs):
        with pytest.raises(error, match=words):
            getattr(module, name)(*arguments, **more)


@pytest.mark.parametrize(
    "images, boxes, error, words",
    [
        (IMAGES[0], one_box([0, 0, 1, 1]), ValueError, "`images` must be batched 4D tensor"),
        (IMAGES, [1], TypeError, "`bounding_boxes` should be a dict"),
        (IMAGES, {"boxes": 1}, ValueError, "containing 'boxes' and 'labels'"),
    ],
)
def test_errors_of_boxes(images, boxes, error, words):
    with pytest.raises(error, match=words):
        ours.draw_bounding_boxes(images, boxes, "xyxy")


@pytest.mark.parametrize("package, extra", [("matplotlib", "plot"), ("PIL", "pillow")])
def test_missing_packages_are_named(package, extra, monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **more):
        if name.split(".")[0] == package:
            raise ImportError(name)
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=rf"torchkeras-native\[{extra}\]"):
        if package == "PIL":
            ours.draw_bounding_boxes(IMAGES, one_box([0, 0, 1, 1]), "xyxy", {0: "cat"})
        else:
            ours.plot_image_gallery(IMAGES)

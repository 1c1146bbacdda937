"""`keras.utils.bounding_boxes` against Keras on torch and float64 formulas, on random boxes."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
import torch

from torchkeras.layers.preprocessing.image.bounding_boxes.formats import SUPPORTED_FORMATS
from torchkeras.layers.preprocessing.image.bounding_boxes.validation import densify_bounding_boxes
from torchkeras.utils import bounding_boxes as ours

theirs = keras.utils.bounding_boxes
HEIGHT, WIDTH = 120, 90
IMAGE_SHAPE = (HEIGHT, WIDTH, 3)
CORNERS = {  # xyxy in pixels to each format, in float64
    "xyxy": lambda x1, y1, x2, y2: (x1, y1, x2, y2),
    "yxyx": lambda x1, y1, x2, y2: (y1, x1, y2, x2),
    "xywh": lambda x1, y1, x2, y2: (x1, y1, x2 - x1, y2 - y1),
    "center_xywh": lambda x1, y1, x2, y2: ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1),
    "center_yxhw": lambda x1, y1, x2, y2: ((y1 + y2) / 2, (x1 + x2) / 2, y2 - y1, x2 - x1),
}


def random_boxes(rng, *shape):
    """Boxes in pixels as xyxy, all with an area."""
    corner = rng.uniform(0, 60, (*shape, 2))
    return np.concatenate([corner, corner + rng.uniform(5, 60, (*shape, 2))], -1).astype("float32")


def in_format(boxes, name):
    if name.startswith("rel_"):
        boxes = boxes / np.array([WIDTH, HEIGHT, WIDTH, HEIGHT])
    return np.stack(CORNERS[name.removeprefix("rel_")](*np.moveaxis(boxes.astype("float64"), -1, 0)), -1)


@pytest.mark.parametrize("source", SUPPORTED_FORMATS)
def test_convert_format(source, rng):
    boxes = random_boxes(rng, 2, 3)
    given = in_format(boxes, source).astype("float32")
    for target in SUPPORTED_FORMATS:
        mine = ours.convert_format(given, source.upper(), target, HEIGHT, WIDTH)
        np.testing.assert_array_equal(mine, theirs.convert_format(given, source, target, HEIGHT, WIDTH))
        np.testing.assert_allclose(mine, in_format(boxes, target), rtol=1e-5, atol=1e-5)
    boxes_and_labels = {"boxes": given, "labels": np.zeros((2, 3))}
    converted = ours.convert_format(boxes_and_labels, source, "xyxy", HEIGHT, WIDTH)
    np.testing.assert_allclose(converted["boxes"], boxes, rtol=1e-5, atol=1e-5)
    assert converted["labels"] is boxes_and_labels["labels"] and boxes_and_labels["boxes"] is given


def test_sizes_of_images_may_differ(rng):
    boxes = torch.from_numpy(random_boxes(rng, 2, 3))
    height, width = torch.tensor([50, 100]).reshape(2, 1, 1), torch.tensor([80, 40]).reshape(2, 1, 1)
    both = ours.convert_format(boxes, "xyxy", "rel_yxyx", height, width)
    for index in range(2):
        alone = ours.convert_format(boxes[index], "xyxy", "rel_yxyx", int(height[index]), int(width[index]))
        assert torch.equal(both[index], alone)


@pytest.mark.parametrize("dtype", ["float64", "float16", "int32", None])
def test_dtypes_of_boxes(dtype, rng):
    boxes = random_boxes(rng, 3).astype("int64")
    for target in ("xywh", "center_xywh"):
        mine, expected = (m.convert_format(boxes, "xyxy", target, dtype=dtype) for m in (ours, theirs))
        assert mine.dtype == expected.dtype and torch.equal(mine, expected)


@pytest.mark.parametrize("bounding_box_format", SUPPORTED_FORMATS)
def test_iou_and_ciou(bounding_box_format, rng):
    for first, second in itertools.product([(4,), (2, 4)], [(3,), (2, 3)]):
        boxes1, boxes2 = random_boxes(rng, *first), random_boxes(rng, *second)
        given = [in_format(boxes, bounding_box_format).astype("float32") for boxes in (boxes1, boxes2)]
        mine = ours.compute_iou(*given, bounding_box_format, image_shape=IMAGE_SHAPE)
        keras_iou = theirs.compute_iou(*given, bounding_box_format, image_shape=IMAGE_SHAPE)
        np.testing.assert_allclose(mine, keras_iou, rtol=1e-5, atol=1e-6)
        a, b = boxes1[..., :, None, :].astype("float64"), boxes2[..., None, :, :].astype("float64")
        common = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None).prod(-1)
        areas = [(x[..., 2:] - x[..., :2]).prod(-1) for x in (a, b)]
        np.testing.assert_allclose(mine, common / (areas[0] + areas[1] - common), rtol=1e-4, atol=1e-6)
    boxes1, boxes2 = random_boxes(rng, 2, 5), random_boxes(rng, 5)
    absolute = theirs.compute_ciou(boxes1, boxes2, "xyxy")
    given = [in_format(boxes, bounding_box_format).astype("float32") for boxes in (boxes1, boxes2)]
    mine = ours.compute_ciou(*given, bounding_box_format, image_shape=IMAGE_SHAPE)
    np.testing.assert_allclose(mine, absolute, rtol=1e-4, atol=1e-5)
    equal = ours.compute_iou(boxes1, boxes1, "xyxy").diagonal(dim1=-2, dim2=-1)
    assert torch.all(ours.compute_ciou(boxes1, boxes1, "xyxy").sub(equal).abs() < 1e-5)


def test_padding_is_masked(rng):
    boxes1, boxes2 = random_boxes(rng, 2, 4), random_boxes(rng, 2, 3)
    boxes1[0, 1], boxes2[1, 2] = -1, -1
    mine, expected = (m.compute_iou(boxes1, boxes2, "yxyx", use_masking=True, mask_val=-2) for m in (ours, theirs))
    np.testing.assert_allclose(mine, expected, rtol=1e-6)
    assert (mine[0, 1] == -2).all() and (mine[1, :, 2] == -2).all()
    unbatched = ours.compute_iou(boxes1[1], boxes2, "yxyx", use_masking=True, mask_val=-2)
    np.testing.assert_allclose(unbatched[1], mine[1], rtol=1e-6)


@pytest.mark.parametrize("bounding_box_format", ["xyxy", "rel_xyxy"])
@pytest.mark.parametrize("labels", ["int64", "int32", "float32", "bool"])
def test_clip_to_image_size(bounding_box_format, labels, rng):
    boxes = random_boxes(rng, 2, 6) - 30
    boxes[0, 0] = [-9, -9, -3, -3]
    boxes = in_format(boxes, bounding_box_format)
    data = {"boxes": torch.from_numpy(boxes), "labels": torch.from_numpy(rng.integers(0, 2, (2, 6)).astype(labels))}
    mine, expected = (
        m.clip_to_image_size(dict(data), HEIGHT, WIDTH, bounding_box_format=bounding_box_format) for m in (ours, theirs)
    )
    for key in data:
        assert mine[key].dtype == expected[key].dtype and torch.equal(mine[key], expected[key])
    assert mine["labels"][0, 0] == -1


def test_clip_with_labels_of_other_forms():
    boxes = torch.tensor([[0.0, 0.0, 5.0, 5.0], [20.0, 20.0, 30.0, 30.0]])
    one_hot = ours.clip_to_image_size({"boxes": boxes, "labels": torch.eye(2)}, 10, 10)["labels"]
    assert one_hot.tolist() == [[1, 0], [-1, -1]]
    unsigned = ours.clip_to_image_size({"boxes": boxes, "labels": np.array([3, 4], "uint8")}, 10, 10)["labels"]
    assert unsigned.tolist() == [3, -1]


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_crop_and_pad(dtype, rng):
    boxes = random_boxes(rng, 2, 6).astype(dtype)
    for arguments in [(10, 20, 40, 30), (10.5, 3, 40, 30.25)]:
        for name, count in (("crop", 4), ("pad", 2)):
            mine, expected = (getattr(m, name)(boxes, *arguments[:count]) for m in (ours, theirs))
            assert mine.dtype == expected.dtype
            np.testing.assert_array_equal(mine, expected)
    offsets = torch.tensor([3, 7]).reshape(2, 1, 1)
    cropped = ours.crop(boxes, offsets, 2 * offsets, 20 + offsets, 30)
    alone = [ours.crop(boxes[i], int(o), 2 * int(o), 20 + int(o), 30) for i, o in enumerate(offsets.flatten())]
    assert torch.equal(cropped, torch.stack(alone))


@pytest.mark.parametrize("center", [{}, {"center_x": 0.25, "center_y": 0.8}])
def test_affine_transform(center, rng):
    boxes = random_boxes(rng, 3, 4)
    ranges = [(-90, 90), (-0.3, 0.3), (-0.3, 0.3), (0.5, 2), (-20, 20), (-20, 20)]
    values = [rng.uniform(low, high, 3).astype("float32") for low, high in ranges]
    mine, expected = (m.affine_transform(boxes, *values, HEIGHT, WIDTH, **center) for m in (ours, theirs))
    np.testing.assert_allclose(mine, expected, rtol=1e-4, atol=1e-3)
    alone = ours.affine_transform(boxes[1], *(float(v[1]) for v in values), HEIGHT, WIDTH, **center)
    np.testing.assert_allclose(alone, expected[1], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("encoding", ["center_xywh", "center_yxhw"])
@pytest.mark.parametrize("bounding_box_format", ["xyxy", "rel_xywh", "center_yxhw"])
@pytest.mark.parametrize("variance", [None, [0.1, 0.1, 0.2, 0.2]])
def test_deltas(encoding, bounding_box_format, variance, rng):
    anchors, boxes = random_boxes(rng, 5), in_format(random_boxes(rng, 2, 5), bounding_box_format).astype("float32")
    formats = ("xyxy", bounding_box_format, encoding, variance, IMAGE_SHAPE)
    mine, expected = (m.encode_box_to_deltas(anchors, boxes, *formats) for m in (ours, theirs))
    np.testing.assert_allclose(mine, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours.decode_deltas_to_boxes(anchors, mine, *formats), boxes, rtol=1e-4, atol=1e-4)
    levels = ours.decode_deltas_to_boxes({3: anchors, 4: anchors}, {3: mine, 4: mine}, *formats)
    keras_levels = theirs.decode_deltas_to_boxes({3: anchors, 4: anchors}, {3: expected, 4: expected}, *formats)
    for level, found in levels.items():
        np.testing.assert_allclose(found, keras_levels[level], rtol=1e-4, atol=1e-4)


BOXES = np.ones((2, 4), "float32")
ERRORS = [
    (lambda m: m.convert_format(BOXES[:, :3], "xyxy", "xywh"), "`boxes` must be a tensor with the last dimension of 4"),
    (lambda m: m.convert_format(BOXES, "xyxy", "xyhw"), "Invalid source or target format"),
    (lambda m: m.convert_format(BOXES, "xyxy", "rel_xyxy"), "must receive `height` and `width`"),
    (lambda m: m.convert_format(BOXES, "rel_xyxy", "rel_xywh"), "must receive `height` and `width`"),
    (lambda m: m.clip_to_image_size({"boxes": BOXES}, 10), "`height` and `width` must be set"),
    (lambda m: m.compute_iou(BOXES[0], BOXES, "xyxy"), "expects boxes1 to be batched"),
    (lambda m: m.compute_iou(BOXES, BOXES[None, None], "xyxy"), "expects boxes2 to be batched"),
    (lambda m: m.compute_iou(BOXES, BOXES, "rel_xyxy"), "`image_shape` argument must be provided"),
    (lambda m: m.compute_ciou(BOXES, BOXES, "rel_xyxy"), "`image_shape` argument must be provided"),
    (lambda m: m.encode_box_to_deltas(BOXES, BOXES, "xyxy", "xyxy", variance=[1.0]), "`variance` must be length 4"),
    (lambda m: m.encode_box_to_deltas(BOXES, BOXES, "xyxy", "xyxy", "xywh"), "`encoding_format` should be one of"),
    (lambda m: m.decode_deltas_to_boxes(BOXES, BOXES, "xyxy", "xyxy", "xywh"), "`encoded_format` should be"),
]


@pytest.mark.parametrize("case", range(len(ERRORS)))
def test_errors_have_the_words_of_keras(case):
    call, words = ERRORS[case]
    for module in (ours, theirs):
        with pytest.raises(ValueError, match=words):
            call(module)


@pytest.mark.parametrize("name", ["clip_to_image_size", "crop", "pad", "affine_transform"])
def test_other_formats_are_refused(name):
    arguments = {"clip_to_image_size": 3, "crop": 5, "pad": 3, "affine_transform": 9}[name]
    for module in (ours, theirs):
        with pytest.raises(NotImplementedError):
            getattr(module, name)(*[BOXES] * arguments, bounding_box_format="xywh")


def test_lists_of_boxes_become_one_tensor():
    boxes = [[[1, 2, 3, 4], [5, 6, 7, 8]], [], [[9, 9, 9, 9]]]
    labels = [[1, 2], [], [3]]
    expected_boxes = torch.zeros(3, 2, 4)
    expected_boxes[0], expected_boxes[2, 0] = torch.tensor(boxes[0]), 9.0
    nested = {
        "boxes": torch.nested.nested_tensor([torch.tensor(b, dtype=torch.float32).reshape(-1, 4) for b in boxes]),
        "labels": torch.nested.nested_tensor([torch.tensor(x, dtype=torch.int32) for x in labels]),
    }
    for given in ({"boxes": boxes, "labels": labels}, nested):
        dense = densify_bounding_boxes(given, is_batched=True)
        assert torch.equal(dense["boxes"], expected_boxes)
        assert dense["labels"].tolist() == [[1, 2], [-1, -1], [3, -1]] and dense["labels"].dtype == torch.int32
    wide = densify_bounding_boxes({"boxes": boxes, "labels": labels}, is_batched=True, max_boxes=3)
    assert wide["boxes"].shape == (3, 3, 4) and wide["labels"].tolist() == [[1, 2, -1], [-1, -1, -1], [3, -1, -1]]
    narrow = densify_bounding_boxes({"boxes": boxes[0], "labels": labels[0]}, max_boxes=1)
    assert narrow["boxes"].tolist() == [[1, 2, 3, 4]] and narrow["labels"].tolist() == [1]


@pytest.mark.parametrize(
    "data, words",
    [
        ({"boxes": BOXES}, "dict with keys 'boxes' and 'labels'"),
        ({"boxes": BOXES.tolist(), "labels": BOXES}, "`bounding_boxes\\['labels'\\]` must also be a list"),
        ({"boxes": BOXES.tolist(), "labels": [1]}, "must have the same length"),
        ({"boxes": BOXES[0], "labels": BOXES}, "to have rank 2 or 3"),
        ({"boxes": BOXES, "labels": BOXES[None]}, "rank 1 or 2"),
    ],
)
def test_boxes_and_labels_must_fit(data, words):
    with pytest.raises(ValueError, match=words):
        densify_bounding_boxes(data)

"""Drawn images: their size, the colours at the boxes, labels without overlap."""

import io

import numpy as np
import pytest
from PIL import Image

from jaxdet import visualize
from jaxdet.visualize import class_colour, draw, encode_png, grid

NAMES = ("circle", "étoile", "红细胞")
GREY = np.full((400, 600, 3), 120, np.uint8)


def with_boxes(image, boxes, labels=None, scores=None, **more):
    n = len(boxes)
    labels = np.ones(n, np.int32) if labels is None else np.array(labels)
    scores = np.linspace(0.9, 0.5, n) if scores is None else np.array(scores)
    return draw(image, np.reshape(boxes, (n, 4)).astype(np.float32), scores, labels, NAMES, **more)


def coloured(drawn, label):
    return (drawn == class_colour(label)).all(-1)


def test_a_box_has_its_edges_on_the_pixels_it_covers():
    drawn = with_boxes(GREY, [[100, 150, 300, 350]], [2])
    rows, columns = np.nonzero(coloured(drawn, 2)[150:])
    assert (rows.max() + 150, columns.min(), columns.max()) == (349, 100, 299)
    assert coloured(drawn, 2)[150, 100:300].all() and coloured(drawn, 2)[150:350, 299].all()
    np.testing.assert_array_equal(drawn[200:300, 150:250], GREY[200:300, 150:250])  # the object is not covered
    assert (GREY == 120).all()  # the input is not drawn on


def test_an_image_without_detections_is_unchanged():
    np.testing.assert_array_equal(with_boxes(GREY, np.zeros((0, 4))), GREY)


@pytest.mark.parametrize(("size", "factor"), [(192, 3), (240, 2), (479, 2), (480, 1), (1000, 1)])
def test_small_images_grow_by_a_whole_factor(size, factor):
    image = np.zeros((size // 2, size, 3), np.uint8)
    drawn = with_boxes(image, [[10, 10, size / 2, size / 3]])
    assert drawn.shape == (size // 2 * factor, size * factor, 3) and drawn.dtype == np.uint8
    assert coloured(drawn, 1)[10 * factor : size // 3 * factor, 10 * factor].all()


def test_lines_and_labels_grow_with_the_image():
    shares = []
    for scale in (1, 5):
        image = np.zeros((400 * scale, 600 * scale, 3), np.uint8)
        shares.append(coloured(with_boxes(image, [[100 * scale, 100 * scale, 300 * scale, 300 * scale]]), 1).mean())
    assert shares[1] == pytest.approx(shares[0], rel=0.25)


def test_ground_truth_is_dashed_in_black_and_white():
    drawn = draw(GREY, *with_nothing(), NAMES, gt_boxes=np.array([[100, 150, 300, 350]]))
    edge = drawn[150, 100:300]
    white, black = (edge == 255).all(-1), (edge == 0).all(-1)
    assert (white | black).all() and white.sum() > 50 and black.sum() > 50
    assert (drawn[160:340, 110:290] == 120).all()


def with_nothing():
    return np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int32)


def test_labels_do_not_overlap_and_are_inside_the_image():
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 400, (12, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(60, 200, (12, 2))], 1)
    places = visualize._place_labels(boxes, [(70, 16)] * 12, 600, 600)
    covered = np.zeros((600, 600), int)
    for left, top, right, bottom in places:
        assert left >= 0 and top >= 0 and right <= 600 and bottom <= 600
        covered[top:bottom, left:right] += 1
    assert covered.max() == 1


def test_identical_boxes_show_every_label():
    places = visualize._place_labels(np.array([[200, 200, 300, 300]] * 8), [(90, 16)] * 8, 600, 600)
    assert len(set(places)) == 8


def test_boxes_at_and_beyond_the_edge_are_drawn():
    boxes = [[-50, -50, 20, 20], [590, 390, 700, 500], [700, 700, 800, 800], [5, 5, 5, 5]]
    assert with_boxes(GREY, boxes, [1, 2, 3, 1]).shape == GREY.shape


def test_names_outside_ascii_are_replaced():
    assert visualize._ascii("étoile", 2) == "etoile"
    assert visualize._ascii("红细胞", 3) == "class 3"
    with_boxes(GREY, [[10, 50, 100, 100]], [3])


def test_a_label_without_a_name_is_refused():
    with pytest.raises(ValueError, match=r"labels must lie in 1\.\.3, got 0\.\.4"):
        with_boxes(GREY, [[0, 0, 9, 9], [0, 0, 9, 9]], [0, 4])


def test_twenty_classes_have_distinct_colours():
    colours = np.array([class_colour(k) for k in range(1, 21)], int)
    distance = np.abs(colours[:, None] - colours[None]).sum(-1) + 999 * np.eye(20, dtype=int)
    assert distance.min() >= 60


def test_grid_centres_images_of_any_size():
    sheet = grid([np.zeros((10, 20, 3), np.uint8), np.full((6, 6, 3), 9, np.uint8), np.zeros((4, 20, 3), np.uint8)], 2)
    assert sheet.shape == (2 * 10 + 3 * 8, 2 * 20 + 3 * 8, 3)
    assert (sheet[8:18, 8:28] == 0).all()
    assert (sheet[10:16, 43:49] == 9).all() and (sheet == 9).all(-1).sum() == 36
    assert (sheet[29:33, 8:28] == 0).all() and (sheet[26:, 36:] == 255).all()


def test_an_encoded_png_reads_back():
    drawn = with_boxes(GREY, [[10, 50, 100, 100]])
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(encode_png(drawn)))), drawn)


@pytest.mark.parametrize(
    ("size", "boxes"),
    [
        ((300, 10000), [[1000, 100, 1150, 250], [3000, 60, 3200, 280]]),
        ((12000, 1080), [[100, 500, 300, 700], [500, 3000, 900, 3400]]),
        ((20, 6000), [[1000, 4, 1300, 18], [3000, 0, 3020, 20]]),
        ((6000, 40), [[5, 1000, 35, 1050], [0, 3000, 40, 3060]]),
    ],
)
def test_objects_of_strips_stay_visible_and_their_labels_inside(size, boxes):
    image = np.full((*size, 3), 120, np.uint8)
    for x1, y1, x2, y2 in boxes:
        image[y1:y2, x1:x2] = (200, 60, 60)
    drawn = with_boxes(image, boxes, [1, 2])
    factor = drawn.shape[0] // size[0]
    for x1, y1, x2, y2 in np.multiply(boxes, factor):
        assert (drawn[y1:y2, x1:x2] == (200, 60, 60)).all(-1).mean() > 0.3
    assert drawn.shape[0] * drawn.shape[1] <= 17_000_000
    places = coloured(drawn, 2).sum() + coloured(drawn, 1).sum()
    assert places > 200 * factor  # boxes and labels are there


def test_a_label_wider_than_the_image_is_cut_off_but_not_its_score():
    font = visualize.ImageFont.load_default(13)
    text = visualize._fitted(font, "a very long name of a class", " 0.87", 100)
    assert text.startswith("a very") and text.endswith(".. 0.87") and font.getlength(text) <= 100
    assert visualize._fitted(font, "cat", " 0.87", 100) == "cat 0.87"


def test_a_grid_of_strips_stays_small():
    sheet = grid([np.zeros((20, 9000, 3), np.uint8), np.zeros((9000, 20, 3), np.uint8)], 4)
    assert max(sheet.shape) < 4200

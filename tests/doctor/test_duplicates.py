import cv2
import numpy as np
import pytest

from jaxdet.doctor.duplicates import (
    NEIGHBOURS,
    Picture,
    difference_hash,
    duplicate_findings,
    find_duplicates,
    near_pairs,
    thumbnail,
)


def photo(seed, height=120, width=160):
    """A smooth random picture, as photos are."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def encoded(image, suffix=".jpg", quality=95):
    return cv2.imencode(suffix, image, [cv2.IMWRITE_JPEG_QUALITY, quality] if suffix == ".jpg" else [])[1].tobytes()


def picture(name, content, part="train"):
    return Picture(part, name, str(hash(content)), thumbnail(content))


def names(pairs):
    return [(a.name, b.name) for a, b in pairs]


def frame(seed):
    """A frame of photo(0)'s scene: an object has moved."""
    image = photo(0).copy()
    x, y = np.random.default_rng(seed).integers(0, (135, 95))
    image[y : y + 25, x : x + 25] = 255 - image[y : y + 25, x : x + 25]
    return encoded(image)


@pytest.mark.parametrize(
    "copy",
    [
        encoded(photo(0), quality=40),
        encoded(photo(0), ".png"),
        encoded(cv2.resize(photo(0), (80, 60), interpolation=cv2.INTER_AREA)),
        encoded(cv2.convertScaleAbs(photo(0), alpha=1.0, beta=3)),
    ],
    ids=["compressed again", "another format", "half the size", "brighter"],
)
def test_copies_of_a_picture_are_found(copy):
    pictures = [picture("a", encoded(photo(0))), *(picture(str(i), encoded(photo(i))) for i in range(1, 9))]
    equal, copies, scenes = find_duplicates([*pictures, picture("copy", copy)])
    assert (names(equal), names(copies), names(scenes)) == ([], [("a", "copy")], [])


def test_a_copy_is_paired_with_the_first_of_a_split():
    variants = [encoded(photo(0), quality=quality) for quality in (95, 80, 60, 40)]
    pictures = [picture(str(i), each, ("train", "test")[i // 2]) for i, each in enumerate(variants)]
    assert names(find_duplicates(pictures)[1]) == [("0", "1"), ("0", "2"), ("0", "3"), ("2", "3")]


def test_frames_of_one_scene_are_no_copies_and_are_counted_across_splits_only():
    pictures = [picture(str(i), frame(i), "train" if i < 6 else "test") for i in range(9)]
    equal, copies, scenes = find_duplicates(pictures)
    assert equal == copies == []
    assert {second.name for _, second in scenes} == {"6", "7", "8"} and len(scenes) == 3
    (finding,) = duplicate_findings(equal, copies, scenes)
    assert (
        finding.severity == "warning"
        and "(frames of one scene, or edited copies): 3, so scores on test may be too good" in finding.text
    )


def test_of_many_frames_of_one_camera_few_pairs_are_compared_and_named():
    assert len(near_pairs(np.full(2_000, 7, np.uint64))) < NEIGHBOURS * 2_000  # of two million
    frames = [picture("a", frame(i)).thumbnail for i in range(20)]
    pictures = [Picture(("train", "test")[i // 400], str(i), str(i), frames[i % 20]) for i in range(800)]
    _, copies, scenes = find_duplicates(pictures)
    assert 800 < len(copies) < 2 * 800 and 100 < len(scenes) <= 400


def test_equal_files_are_paired_with_the_first_and_not_again_as_alike():
    content = encoded(photo(0))
    equal, copies, scenes = find_duplicates([picture(name, content) for name in "abc"])
    assert (names(equal), copies, scenes) == ([("a", "b"), ("a", "c")], [], [])


def test_blank_images_are_no_copies_of_each_other():
    blank = [encoded(np.full((60, 80, 3), grey, np.uint8), ".png") for grey in (0, 1, 2)]
    assert find_duplicates([picture(str(i), content) for i, content in enumerate(blank)]) == ([], [], [])


def test_small_images_have_thumbnails_and_other_files_have_none():
    assert thumbnail(encoded(photo(0, 5, 7), ".png")).shape == (32, 32)
    assert thumbnail(b"no image") is None
    assert thumbnail(b"") is None
    assert find_duplicates([Picture("train", "a", "1", None), Picture("train", "b", "2", None)]) == ([], [], [])


def test_one_hash_bit_is_one_pair_of_neighbours():
    image = np.zeros((1, 32, 32), np.uint8)
    assert difference_hash(image).tolist() == [0]
    image[0, :, 16:] = 255
    assert np.bitwise_count(difference_hash(image)).tolist() == [16]  # the middle cell of nine is half bright


def test_pictures_in_two_splits_are_named_file_by_file_and_warned_of():
    content = encoded(photo(0))
    pictures = [picture("a", content), picture("b", content), picture("c", content, "test")]
    within, across = duplicate_findings(*find_duplicates(pictures))
    assert (within.severity, within.names) == ("note", ("train/a = train/b",))
    assert (across.severity, across.names) == ("warning", ("train/a = test/c",))

"""The .mat files are written as MATLAB does: cell arrays of 1 x N or N x 1, matrices of any number type."""

import logging

import numpy as np
import pytest
import scipy.io

from jaxdet.checks import InputError
from jaxdet.proposals.mat_file import import_boxes, mat_paths


class Images:
    """Two images of 60 x 80 pixels."""

    fingerprint = "ab12"
    names = ["000005", "2008_000001"]
    image_sizes = np.array([[60, 80], [60, 80]], np.int32)

    def __len__(self):
        return 2


WHOLE = [[1, 1, 60, 80], [3, 5, 3, 9]]  # y1 x1 y2 x2


def cells(values, *, column=False):
    array = np.empty(len(values), object)
    for i, value in enumerate(values):
        array[i] = value
    return array.reshape((-1, 1) if column else (1, -1))


def save(path, boxes, names=Images.names, **more):
    scipy.io.savemat(path, {"boxes": cells(boxes), "images": cells(names, column=True), **more})
    return path


def test_boxes_become_continuous_and_follow_the_split(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    other = np.float64([[1, 1, 500, 500]])  # of an image of another split, of another size
    names = ["other", "2008_000001", "000005"]
    path = save(tmp_path / "boxes.mat", [other, np.zeros((0, 0)), np.uint16(WHOLE)], names)
    table = import_boxes(Images(), tmp_path / "boxes.npz", [path])
    np.testing.assert_array_equal(table[0], np.float32([[0, 0, 80, 60], [4, 2, 9, 3]]))
    assert table[1].shape == (0, 4) and table.boxes.dtype == np.float32
    assert "1 of 2 images have none, first 2008_000001" in caplog.text
    again = import_boxes(Images(), tmp_path / "boxes.npz", [path])
    np.testing.assert_array_equal(again.boxes, table.boxes)
    save(path, [other, np.uint16(WHOLE), np.uint16(WHOLE)], names)
    with pytest.raises(InputError, match="boxes.npz is of other data or parameters: sha256 must be .*delete it"):
        import_boxes(Images(), tmp_path / "boxes.npz", [path])


def test_the_files_of_a_sum_of_splits_are_joined(tmp_path):
    for year, name in (("2007", "000005"), ("2012", "2008_000001")):
        save(tmp_path / f"voc_{year}_trainval.mat", [np.float64(WHOLE)], [name])
    paths = mat_paths(f"{tmp_path}/voc_{{split}}.mat", "2007/trainval[:10%]+2012/trainval")
    assert [path.name for path in paths] == ["voc_2007_trainval.mat", "voc_2012_trainval.mat"]
    assert np.diff(import_boxes(Images(), tmp_path / "boxes.npz", paths).starts).tolist() == [2, 2]
    whole = mat_paths(f"{tmp_path}/voc_2007_trainval.mat", "2007/train+2007/val")  # named without {split}: once
    assert [path.name for path in whole] == ["voc_2007_trainval.mat"]
    with pytest.raises(InputError, match="boxes of split 2007/test, got .*voc_2007_test.mat, which is no file"):
        mat_paths(f"{tmp_path}/voc_{{split}}.mat", "2007/test")


@pytest.mark.parametrize(
    ("matrix", "error"),
    [
        ([[1, 1, 60, 81]], r"within 1\.\.60 and 1\.\.80, got \[1, 1, 60, 81\] in row 1"),
        ([[1, 1, 60, 80], [0, 1, 5, 5]], r"got \[0, 1, 5, 5\] in row 2"),
        ([[5, 1, 4, 9]], "rows y1 x1 y2 x2"),
        ([[np.nan, 1, 5, 5]], r"got \[nan, 1.0, 5.0, 5.0\]"),
        ([[1, 1, 5]], r"be N x 4 numbers, got int64\[1, 3\]"),
        ([[1 + 1j, 1, 5, 5]], r"be N x 4 numbers, got complex128\[1, 4\]"),
    ],
)
def test_boxes_that_do_not_fit_their_image_are_named(tmp_path, matrix, error):
    path = save(tmp_path / "boxes.mat", [np.array(WHOLE, float), np.array(matrix)])
    with pytest.raises(InputError, match=f"boxes of 2008_000001 must .*{error}"):
        import_boxes(Images(), tmp_path / "boxes.npz", [path])
    assert not (tmp_path / "boxes.npz").exists()


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ({"names": ["000005"], "boxes": [WHOLE]}, "got none of 1 of 2, first 2008_000001; name the file of this split"),
        ({"names": ["000005.jpg", "x"], "boxes": [WHOLE] * 2}, "first 000005; .* names without suffix"),
        ({"names": ["000005", "000005"], "boxes": [WHOLE] * 2}, "image 000005 must come once, got it again"),
        ({"names": ["000005"], "boxes": [WHOLE] * 2}, "images and boxes must have one length, got 1 and 2"),
        ({"names": [], "boxes": [WHOLE], "images": 3}, r"variable images must be a cell array, got \w+\[1, 1\]"),
    ],
)
def test_names_must_be_those_of_the_split(tmp_path, content, error):
    names, boxes = content.pop("names"), [np.array(each, float) for each in content.pop("boxes")]
    path = save(tmp_path / "boxes.mat", boxes, names, **content)
    with pytest.raises(InputError, match=error):
        import_boxes(Images(), tmp_path / "boxes.npz", [path])


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"MATLAB 7.3 MAT-file, Platform: GLNXA64", r"version 7 or earlier, got 7.3 \(HDF5\).*'-v7'"),
        (b"MATLAB 5.0 MAT-file" + bytes(50), "must be a .mat file, got"),
        (b"", "must be a .mat file, got"),
    ],
)
def test_other_and_damaged_files_are_named(tmp_path, content, error):
    path = tmp_path / "boxes.mat"
    path.write_bytes(content)
    with pytest.raises(InputError, match=error):
        import_boxes(Images(), tmp_path / "boxes.npz", [path])


def test_a_file_without_boxes_is_named(tmp_path):
    scipy.io.savemat(tmp_path / "boxes.mat", {"images": cells(Images.names)})
    with pytest.raises(InputError, match="variable boxes must be a cell array, got none"):
        import_boxes(Images(), tmp_path / "boxes.npz", [tmp_path / "boxes.mat"])

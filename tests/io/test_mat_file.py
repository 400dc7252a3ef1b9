"""Reading .mat files: the variables that are asked for, and one line for any file that cannot be read."""

import os

import numpy as np
import pytest
import scipy.io

from jaxdet.checks import InputError
from jaxdet.io.mat_file import read_mat


def test_only_the_named_variables_are_read(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"a": np.eye(2), "b": 3})
    content = read_mat(tmp_path / "a.mat", "a", "c")
    np.testing.assert_array_equal(content["a"], np.eye(2))
    assert "b" not in content and "c" not in content


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"MATLAB 7.3 MAT-file, Platform: GLNXA64", r"version 7 or earlier, got 7.3 \(HDF5\).*'-v7'"),
        (b"MATLAB 5.0 MAT-file" + bytes(50), "a.mat must be a .mat file, got"),
        (b"", "a.mat must be a .mat file, got"),
    ],
)
def test_other_files_are_refused(tmp_path, content, error):
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(InputError, match=error):
        read_mat(tmp_path / "a.mat", "a")


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.mat")
    for name, reason in (("none.mat", "No such file"), ("pipe.mat", "is a named pipe"), ("", "is a folder")):
        with pytest.raises(InputError, match=f"must be a readable file, got: {reason}"):
            read_mat(tmp_path / name, "a")

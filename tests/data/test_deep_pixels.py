import numpy as np
import pytest

from jaxdet.data import deep_pixels
from jaxdet.data.deep_pixels import to_8_bits

RAMP = np.arange(1200, dtype=np.uint16).reshape(30, 40)


def test_a_full_range_keeps_its_brightness():
    levels = np.array([[0, 257, 128 * 257, 65535]], np.uint16)
    np.testing.assert_array_equal(to_8_bits(levels), [[0, 1, 128, 255]])
    bright = np.array([[20_000, 60_000]], np.uint16)
    np.testing.assert_array_equal(to_8_bits(bright), np.round(bright / 257))


def test_a_narrow_range_is_stretched():
    got = to_8_bits(RAMP + np.uint16(30_000))
    assert (got[0, 0], got[-1, -1]) == (0, 255)
    assert len(np.unique(got)) == 256


def test_single_hot_pixels_do_not_set_the_range():
    hot = RAMP.copy()
    hot[3, 5] = 65535
    got = to_8_bits(hot)
    assert len(np.unique(got)) > 250
    assert got[3, 5] == 255


@pytest.mark.parametrize("value", [0, 9000, 65535])
def test_equal_pixels_stay_equal(value):
    np.testing.assert_array_equal(to_8_bits(np.full((3, 4), value, np.uint16)), np.full((3, 4), round(value / 257)))
    assert (to_8_bits(np.full((3, 4), float(value), np.float32)) == 0).all()


def test_numbers_that_are_not_finite_become_black():
    values = RAMP.astype(np.float32)
    values[0, :3] = np.nan, np.inf, -np.inf
    got = to_8_bits(values)
    assert (got[0, :3] == 0).all()
    assert got[-1, -1] == 255
    with pytest.raises(ValueError, match="no pixel is a finite number"):
        to_8_bits(np.full((2, 2), np.nan, np.float32))


def test_extreme_numbers_do_not_overflow():
    values = np.array([[-3e38, 0, 3e38]], np.float32)
    np.testing.assert_array_equal(to_8_bits(values), [[0, 127, 255]])


def test_channels_are_stretched_together():
    values = np.stack([RAMP, RAMP // 2, RAMP * 0], axis=2)
    assert to_8_bits(values)[-1, -1].tolist() == [255, 128, 0]


def test_stretching_is_said_once_with_the_name_of_the_image(caplog):
    deep_pixels._warned.clear()
    for name in ("a.png", "b.png"):
        to_8_bits(RAMP, name=name)
    assert caplog.messages[0].startswith("a.png: images of more than 8 bits")
    assert len(caplog.records) == 1
    to_8_bits(np.array([[0, 65535]], np.uint16))
    assert "are stretched" in caplog.text

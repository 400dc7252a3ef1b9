import pytest

from jaxdet.checks import InputError
from jaxdet.doctor import environment
from jaxdet.doctor.environment import (
    ACCELERATORS,
    check_imports,
    device_findings,
    examine_environment,
    free_bytes,
    in_range,
    opencv_findings,
    requirements,
    version_findings,
)


def test_this_environment_is_described(tmp_path):
    described, _ = examine_environment({"workdir": str(tmp_path / "runs" / "x")})
    assert described.versions.keys() >= {"python", "jax", "flax", "numpy"}
    assert described.devices[0].startswith("cpu: ")
    assert described.cores >= 1
    assert list(described.disks) == [f"workdir {tmp_path / 'runs' / 'x'}"]
    assert free_bytes(str(tmp_path / "missing")) > 0


def test_the_ranges_are_those_of_pyproject():
    assert requirements()["jax"] == ">=0.7.2,<0.13"
    assert requirements()["optax"].startswith(">=")


@pytest.mark.parametrize(
    ("version", "wanted", "inside"),
    [
        ("0.10.2", ">=0.7.2,<0.13", True),
        ("0.13.0", ">=0.7.2,<0.13", False),
        ("0.7.1", ">=0.7.2,<0.13", False),
        ("2.1", ">=2.1.0", True),
        ("0.8.0rc1", ">=0.8", True),
        ("1.2.3+cu13", "==1.2.3", True),
        ("1.0", "", True),
    ],
)
def test_versions_are_compared_by_their_numbers(version, wanted, inside):
    assert in_range(version, wanted) is inside


def test_missing_and_untested_packages_are_named():
    needed = {"jax": ">=0.7,<0.13", "rich": ">=13", "opencv-contrib-python-headless": ">=4.11"}
    versions = {"jax": "0.14.1", "rich": "", "opencv-contrib-python-headless": ""}
    untested, missing = version_findings(needed, versions)
    assert (untested.severity, untested.text) == ("warning", "jax 0.14.1 is not in the tested range >=0.7,<0.13")
    assert (missing.severity, missing.text) == ("error", "rich is missing; pip install 'rich>=13'")


def test_two_packages_of_opencv_are_a_trap_and_one_without_contrib_lacks_the_search():
    (both,) = opencv_findings({"opencv-python", "opencv-contrib-python-headless"})
    assert "overwrite each other's module cv2" in both.text
    (plain,) = opencv_findings({"opencv-python"})
    assert "lacks Selective Search" in plain.text
    assert opencv_findings({"opencv-contrib-python"}) == opencv_findings(set()) == []


def test_an_accelerator_that_jax_does_not_use_is_named():
    gpu = list(ACCELERATORS)
    (hidden,) = device_findings(["cpu"], "cpu", gpu)
    assert hidden.text == "JAX_PLATFORMS=cpu hides an NVIDIA GPU of this machine; unset it"
    (unused,) = device_findings(["cpu"], "", gpu)
    assert "which jax does not use; install jax with CUDA" in unused.text
    assert device_findings(["gpu"], "", gpu) == device_findings(["cpu"], "cpu", []) == []


def test_packages_that_cannot_be_imported_together_are_one_line(monkeypatch):
    check_imports()

    def fail(name):
        raise TypeError("Descriptors cannot be created directly.\nsee https://...")

    monkeypatch.setattr(environment.importlib, "import_module", fail)
    with pytest.raises(InputError, match="must be importable beside protobuf .*tensorflow-metadata==1.17.3") as error:
        check_imports()
    assert "\n" not in str(error.value)

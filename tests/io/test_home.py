import pytest

from jaxdet.checks import InputError
from jaxdet.io.home import expand_home


def test_the_home_folder_replaces_a_leading_tilde_only(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expand_home("--file", "~/x") == str(tmp_path / "x")
    assert expand_home("--file", "~") == str(tmp_path)
    for path in ("", "a/~/b", "https://example.org/~user/x.pth", "./~x"):
        assert expand_home("--file", path) == path


def test_an_unknown_user_is_named_unless_a_file_has_the_name(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="--file: there is no home folder of ~nosuchuser, got '~nosuchuser/x'; write"):
        expand_home("--file", "~nosuchuser/x")
    (tmp_path / "~nosuchuser").touch()
    assert expand_home("--file", "~nosuchuser") == "~nosuchuser"

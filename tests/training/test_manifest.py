from jaxdet.training import manifest


def saved(folder):
    (folder / "arrays").mkdir()
    (folder / "arrays" / "a").write_bytes(b"0123456789")
    (folder / "b").write_bytes(b"xyz")
    manifest.write(folder, {"step": 3})
    return folder


def test_whole(tmp_path):
    assert not manifest.exists(tmp_path)
    assert manifest.fault(saved(tmp_path)) is None
    assert manifest.exists(tmp_path)
    assert manifest.metadata(tmp_path) == {"step": 3}


def test_renewed_metadata(tmp_path):
    manifest.renew(saved(tmp_path), {"step": 3, "val_map": 0.5})
    assert manifest.metadata(tmp_path) == {"step": 3, "val_map": 0.5}
    assert manifest.fault(tmp_path) is None


def test_one_flipped_bit(tmp_path):
    path = saved(tmp_path) / "arrays" / "a"
    path.write_bytes(b"0123456788")
    assert manifest.fault(tmp_path) == "1 file(s) changed, first arrays/a"


def test_missing_file(tmp_path):
    (saved(tmp_path) / "b").unlink()
    assert manifest.fault(tmp_path) == "1 file(s) missing, first b"


def test_broken_manifest(tmp_path):
    path = saved(tmp_path) / manifest.NAME
    path.write_text(path.read_text()[:20])
    assert "unreadable" in manifest.fault(tmp_path)

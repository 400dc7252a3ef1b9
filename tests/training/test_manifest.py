from jaxdet.training import manifest


def saved(folder):
    (folder / "arrays").mkdir()
    (folder / "arrays" / "a").write_bytes(b"0123456789")
    (folder / "b").write_bytes(b"xyz")
    manifest.write(folder, {"step": 3})
    return folder


def test_a_written_manifest_verifies_the_folder(tmp_path):
    assert not manifest.exists(tmp_path)
    assert manifest.fault(saved(tmp_path)) is None
    assert manifest.exists(tmp_path)
    assert manifest.metadata(tmp_path) == {"step": 3}


def test_renew_replaces_the_metadata(tmp_path):
    manifest.renew(saved(tmp_path), {"step": 3, "val_map": 0.5})
    assert manifest.metadata(tmp_path) == {"step": 3, "val_map": 0.5}
    assert manifest.fault(tmp_path) is None


def test_a_flipped_bit_is_a_fault(tmp_path):
    path = saved(tmp_path) / "arrays" / "a"
    path.write_bytes(b"0123456788")
    assert manifest.fault(tmp_path) == "1 file(s) changed, first arrays/a"


def test_a_missing_file_is_a_fault(tmp_path):
    (saved(tmp_path) / "b").unlink()
    assert manifest.fault(tmp_path) == "1 file(s) missing, first b"


def test_a_broken_manifest_is_a_fault(tmp_path):
    path = saved(tmp_path) / manifest.NAME
    path.write_text(path.read_text()[:20])
    assert "unreadable" in manifest.fault(tmp_path)

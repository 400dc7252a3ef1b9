"""Damage to the folder of a checkpoint, as from a failing disk or an interrupted copy."""

import shutil


def flip_bit(folder):
    path = max(
        (path for path in (folder / "params").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size
    )
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def flip_bit_of_manifest(folder):
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"from": 3', '"from": 2'))


def half_delete(folder):
    shutil.rmtree(folder / "optimizer")


def drop_manifest(folder):
    (folder / "manifest.json").unlink()

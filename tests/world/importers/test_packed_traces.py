"""Packed traces: known by their first bytes, unpacked within limits, and one line where they are damaged."""

import bz2
import gzip
import lzma
import tarfile
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from isma.errors import DataError, IsmaError
from isma.world import inputs
from isma.world.importers import cabspotting, csv_traces

TABLE = b"id,time,lat,lon\n" + b"".join(b"a,%d,1,2\n" % (1_600_000_000 + k) for k in range(50))


def packed(folder: Path, how: str, content: bytes = TABLE) -> Path:
    """A table packed in some way, under a name that says nothing of it."""
    path = folder / "table.csv"
    if how == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("__MACOSX/t.csv", b"no table")
            archive.writestr("folder/t.csv", content)
    elif how.startswith("tar"):
        mode = {"tar": "w:", "tar.gz": "w:gz", "tar.xz": "w:xz"}[how]
        inner = folder / "inner.csv"
        inner.write_bytes(content)
        with tarfile.open(path, mode) as archive:
            archive.add(inner, "folder/t.csv")
    else:
        pack = {"gz": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress}[how]
        path.write_bytes(pack(content))
    return path


@pytest.mark.parametrize("how", ["gz", "xz", "bz2", "zip", "tar", "tar.gz", "tar.xz"])
def test_what_is_packed_is_known_by_its_first_bytes(tmp_path: Path, how: str):
    (tmp_path / "t.csv").write_bytes(TABLE)
    plain = csv_traces.read(tmp_path / "t.csv").frame
    pd.testing.assert_frame_equal(csv_traces.read(packed(tmp_path, how)).frame, plain)


@pytest.mark.parametrize("how", ["gz", "xz", "zip", "tar.xz"])
def test_what_unpacks_without_end_is_refused(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
):
    """Two megabytes of the same line, where one is allowed; nothing is written beside it."""
    monkeypatch.setattr(inputs, "MOST_BYTES", 1_000_000)
    monkeypatch.setattr(inputs, "MOST_MEMBERS", 0)
    path = packed(tmp_path, how, TABLE + b"a,1600000000,1,2\n" * 120_000)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(DataError, match=r"at most 1,000,000 bytes"):
        csv_traces.read(path)
    assert sorted(tmp_path.iterdir()) == before


def damaged(folder: Path, how: str) -> Path:
    path = packed(folder, how)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


@pytest.mark.parametrize("how", ["gz", "xz", "bz2", "zip", "tar.gz"])
def test_what_is_cut_short_is_one_line(tmp_path: Path, how: str):
    with pytest.raises(IsmaError, match=r"damaged|cannot be read"):
        csv_traces.read(damaged(tmp_path, how))


def test_an_archive_of_several_tables_names_them(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("a.csv", "")
        archive.writestr("../b.csv", "")
    with pytest.raises(DataError, match=r"must hold one file, got 2: a.csv, ../b.csv"):
        csv_traces.read(tmp_path / "t.zip")
    assert not (tmp_path.parent / "b.csv").exists()


def test_a_damaged_member_of_a_zip_is_one_line(tmp_path: Path):
    """Its bytes are read long after the archive was opened: its sum is found wrong only then."""
    path = tmp_path / "cabs.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("cabs/new_a.txt", "37.5 -122.5 0 1\n")
    path.write_bytes(path.read_bytes().replace(b"37.5", b"38.5"))
    with pytest.raises(DataError) as found:
        cabspotting.read(path)
    assert str(found.value).startswith(f"{path}: ")
    assert "damaged" in str(found.value)

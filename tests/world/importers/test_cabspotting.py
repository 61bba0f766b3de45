"""Cab files in folders and archives: whole, cut, and full of something else."""

import io
import tarfile
from pathlib import Path

import pandas as pd
import pytest

from isma.errors import DataError
from isma.world.importers import cabspotting

FILES = {
    "data/new_ab.txt": "37.5 -122.5 1 1211000060\n37.6 -122.4 0 1211000000\n",
    "data/new_cd.txt": "37.7 -122.3 0 1211000030\n",
    "data/new_empty.txt": "",
    "data/README": "not a cab",
}
EXPECTED = pd.DataFrame(
    {
        "user_id": ["ab", "ab", "cd"],
        "time_s": [1211000060.0, 1211000000.0, 1211000030.0],
        "latitude": [37.5, 37.6, 37.7],
        "longitude": [-122.5, -122.4, -122.3],
    }
)


def archive_of(path: Path, files: dict[str, str], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return path


@pytest.mark.parametrize("mode", ["w:gz", "w"])
def test_an_archive_is_read_without_being_unpacked(tmp_path: Path, mode: str):
    path = archive_of(tmp_path / "cabs.tar", FILES, mode)
    pd.testing.assert_frame_equal(cabspotting.read(path).frame.reset_index(drop=True), EXPECTED)
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_read_whatever_lies_between(tmp_path: Path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    pd.testing.assert_frame_equal(cabspotting.read(tmp_path).frame.reset_index(drop=True), EXPECTED)


@pytest.mark.parametrize("mode", ["w:gz", "w"])
def test_an_archive_cut_anywhere_is_refused_or_whole(tmp_path: Path, mode: str):
    rows = "".join(f"37.{k:05} -122.{k:05} 0 {1211000000 + k}\n" for k in range(0, 90_000, 71))
    files = FILES | {"data/new_long.txt": rows}
    whole = archive_of(tmp_path / "whole.tar", files, mode).read_bytes()
    expected = cabspotting.read(tmp_path / "whole.tar").frame
    cut = tmp_path / "cut.tar"
    refusals = []
    lengths = {*range(0, len(whole), 509), *range(len(whole) - 30, len(whole))}
    for length in sorted(lengths):
        cut.write_bytes(whole[:length])
        try:
            pd.testing.assert_frame_equal(cabspotting.read(cut).frame, expected)
        except DataError as error:
            refusals.append(str(error))
        else:  # only the padding behind the end may be missing
            assert mode == "w"
            assert length > len(whole) - tarfile.RECORDSIZE
    assert len(refusals) > 10
    assert all(said.startswith(f"{cut}: ") and "\n" not in said for said in refusals)


def test_a_damaged_member_header_is_no_end(tmp_path: Path):
    path = archive_of(tmp_path / "cabs.tar", FILES, "w")
    content = bytearray(path.read_bytes())
    second = content.index(b"data/new_cd.txt")
    content[second + 150] ^= 0xFF  # in the header's checksum
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match="cut short or damaged"):
        cabspotting.read(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("37.5 -122.5 0\n", "line 1: must be latitude longitude occupancy time_s, got 3 columns"),
        ("37.5 -122.5 0 1\n37.5 -122.5 0 1 9\n", "line 2: must be latitude longitude"),
        ("37.5 -122.5 0 1\n\n37.5 -122.5 0\n", "line 3: must be latitude longitude"),
        ("37.5 -122.5 0 1\n37.5 west 0 1\n", "line 2: longitude must be a number, got 'west'"),
        ("lat lon occ time\n37.5 -122.5 0 1\n", "line 1: latitude must be a number, got 'lat'"),
        ("37.5,-122.5,0,1\n", "line 1: must be latitude longitude"),
        ("\x00\x01 \x02", "line 1: must be latitude longitude"),
    ],
)
def test_the_first_wrong_line_is_named(tmp_path: Path, text: str, said: str):
    path = archive_of(tmp_path / "cabs.tar.gz", FILES | {"data/new_bad.txt": text})
    with pytest.raises(DataError) as caught:
        cabspotting.read(path)
    assert str(caught.value).startswith(f"{path}: data/new_bad.txt: {said}")


def test_a_value_that_is_nan_is_left_to_cleaning(tmp_path: Path):
    path = archive_of(tmp_path / "cabs.tar", {"new_a.txt": "37.5 nan 0 1\n37.5 -122.5 0 2\n"})
    assert cabspotting.read(path).frame["longitude"].isna().tolist() == [True, False]


def test_what_holds_no_cabs_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="no such archive"):
        cabspotting.read(tmp_path / "none.tar.gz")
    (tmp_path / "text.tar.gz").write_text("hello\n" * 1000)
    with pytest.raises(DataError, match="must be a folder, or a tar or zip archive, of cab files"):
        cabspotting.read(tmp_path / "text.tar.gz")
    with pytest.raises(DataError, match=r"named new_<cab>.txt, got none"):
        cabspotting.read(archive_of(tmp_path / "other.tar", {"a.txt": "1 2 3 4"}))
    with pytest.raises(DataError, match="must hold fixes, got 1 empty ones"):
        cabspotting.read(archive_of(tmp_path / "empty.tar", {"new_a.txt": " \n"}))

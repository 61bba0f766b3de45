"""Inputs made to hurt: each is one short line, before memory or time is spent on it."""

import gzip
import io
import os
import random
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from isma.errors import DataError, IsmaError, RunError, ScenarioError
from isma.world import backhaul, files, inputs, scenario, sites, traces
from isma.world.importers import archives, cabspotting, csv_traces, jumps, summary
from isma.world.importers.cleaning import clean
from isma.world.importers.make import import_scenario

CAB = "".join(f"37.7 -122.4{k:02} 0 {1_211_000_000 + 60 * k}\n" for k in range(40)).encode()
MOST_OF_A_LINE = 500


def refused(read: Callable[[], object], *said: str, error: type[IsmaError] = DataError) -> None:
    with pytest.raises(error) as caught:
        read()
    text = str(caught.value)
    assert len(text) <= MOST_OF_A_LINE
    assert "\n" not in text
    assert all(part in text for part in said), text


def header(name: str, size: int, kind: bytes = b"0", **fields: bytes) -> bytes:
    """A tar header of any size and kind, with bytes put in place by offset, its checksum right."""
    member = tarfile.TarInfo(name)
    block = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    block[124:136] = b"%011o\0" % size if size < 8**11 else b"\x80" + size.to_bytes(11, "big")
    block[156:157] = kind
    for offset, content in fields.items():
        place = int(offset.removeprefix("at_"))
        block[place : place + len(content)] = content
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


END = bytes(1024)
BAD_TARS = {
    "a member of 100 TB": header("new_a.txt", 10**14) + END,
    "a member of a whole GB": header("new_a.txt", 10**9) + END,
    "many that are much together": header("x", 0) * 9 + header("x", 2 * 10**9) + END,
    "sparse, 64 TB in a block": header(
        "new_a.txt", 0, b"S", at_483=b"\x80" + (64 * 10**12).to_bytes(11, "big")
    )
    + END,
    "a pax header of 8 GB": header("x", 8 * 10**9, b"x") + END,
    "a long name of 8 GB": header("x", 8 * 10**9, b"L") + END,
    "long names without end": (header("x", 1, b"L") + b"a".ljust(512, b"\0")) * 5000 + END,
    "a negative size": header("x", 0, at_124=b"\xff" * 11 + b"\0") + END,
}


@pytest.mark.parametrize("name", BAD_TARS)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_archives_that_are_more_than_they_seem(
    tmp_path: Path, name: str, pack: Callable[[bytes], bytes]
):
    (tmp_path / "cabs.tar").write_bytes(pack(BAD_TARS[name]))
    refused(lambda: cabspotting.read(tmp_path / "cabs.tar"), f"{tmp_path / 'cabs.tar'}: ")


@pytest.mark.parametrize("size", ["9" * 30, "9" * 5000, "-1", "1e3"])
def test_a_size_in_a_pax_header(tmp_path: Path, size: str):
    member = tarfile.TarInfo("new_a.txt")
    member.pax_headers = {"size": size}
    (tmp_path / "cabs.tar").write_bytes(member.tobuf(tarfile.PAX_FORMAT) + END)
    refused(lambda: cabspotting.read(tmp_path / "cabs.tar"))


def test_links_and_devices_in_an_archive_are_no_cabs(tmp_path: Path):
    with tarfile.open(tmp_path / "cabs.tar", "w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
            member = tarfile.TarInfo("new_a.txt")
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    refused(lambda: cabspotting.read(tmp_path / "cabs.tar"), "named new_<cab>.txt, got none")


def test_members_are_capped_in_number_and_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with tarfile.open(tmp_path / "cabs.tar.gz", "w:gz") as archive:
        for number in range(20):
            member = tarfile.TarInfo(f"new_{number}.txt")
            member.size = len(CAB)
            archive.addfile(member, io.BytesIO(CAB))
    assert len(cabspotting.read(tmp_path / "cabs.tar.gz").frame) == 800
    with monkeypatch.context() as fewer:
        fewer.setattr(archives, "MOST_MEMBERS", 19)
        refused(lambda: cabspotting.read(tmp_path / "cabs.tar.gz"), "at most 19 files")
    monkeypatch.setattr(inputs, "MOST_BYTES", 19 * len(CAB))
    refused(lambda: cabspotting.read(tmp_path / "cabs.tar.gz"), "bytes unpacked, got more")


def test_flipped_bits_are_read_or_one_line(tmp_path: Path):
    rng, path = random.Random(0), tmp_path / "cabs.tar.gz"
    plain = header("new_a.txt", len(CAB)) + CAB.ljust(-(-len(CAB) // 512) * 512, b"\0") + END
    refusals = []
    for whole, first in ((plain, 512), (gzip.compress(plain), 10)):
        for _ in range(60):
            content = bytearray(whole)
            content[rng.randrange(first)] ^= 1 << rng.randrange(8)
            path.write_bytes(content)
            try:
                cabspotting.read(path)
            except DataError as error:
                refusals.append(str(error))
    assert len(refusals) > 60
    assert all(len(said) <= MOST_OF_A_LINE and "\n" not in said for said in refusals)


@pytest.mark.parametrize("place", ["pipe", "/dev/zero"])
def test_what_is_no_plain_file_is_refused_at_once(tmp_path: Path, place: str):
    path = Path(place)
    if place == "pipe":
        path = tmp_path / "pipe.toml"
        os.mkfifo(path)
    for read in (csv_traces.read, cabspotting.read, sites.read, backhaul.read_graph):
        refused(lambda read=read: read(path), "must be a plain file, got a pipe or a device")
    if place == "pipe":
        refused(lambda: files.load(path), "must be a plain file", error=ScenarioError)
        os.mkfifo(tmp_path / "new_a.txt")
        refused(lambda: cabspotting.read(tmp_path), "must be a plain file")


TEXTS = {
    "100,000 columns": ",".join(f"c{k}" for k in range(100_000)) + "\n1\n",
    "900 columns of long names": ",".join("c" * 90 + str(k) for k in range(900)) + "\n1\n",
    "a line of 3 MB": "id,time,lat,lon\n" + "a" * 3_000_000,
    "a header of 3 MB": "a" * 3_000_000,
    "NUL": "id,time,lat,lon\na\0b,1,1,1\n",
    "a quote without end": 'id,time,lat,lon\n"a,1,1,1\n' + "a,1,1,1\n" * 30_000,
    "a column's name without end": "id," + "t" * 200_000 + ",lat,lon\n1,1,1,1\n",
    "a cell of 5,000 digits": "id,time,lat,lon\n" + f"a,{'9' * 5000},1,1\n" * 3,
    "a cell that is a word of 5,000 letters": "id,time,lat,lon\n" + f"a,1,{'x' * 5000},1\n" * 3,
    "seconds of the year -1199": "id,time,lat,lon\n" + "a,-1e11,1,1\n" * 3,
    "dates of the year 1": "id,time,lat,lon\n" + "a,0001-01-01T00:00:00Z,1,1\n" * 3,
    "dates of the year 9999": "id,time,lat,lon\n" + "a,9999-12-31T23:00:00Z,1,1\n" * 3,
    "infinity": "id,time,lat,lon\n" + "a,inf,1,1\n" * 3,
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("ending", ["t.csv", "t.csv.gz"])
def test_tables_made_to_hurt(tmp_path: Path, name: str, ending: str):
    data = TEXTS[name].encode()
    (tmp_path / ending).write_bytes(gzip.compress(data) if ending.endswith("gz") else data)
    refused(lambda: csv_traces.read(tmp_path / ending), f"{tmp_path / ending}: ")
    refused(lambda: sites.read(tmp_path / ending), f"{tmp_path / ending}: ")


def test_a_packed_table_stops_at_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    row = b"a,1211000000,37.7,-122.4\n"
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"id,time,lat,lon\n" + row * 100_000))
    assert len(csv_traces.read(tmp_path / "t.csv.gz").frame) == 100_000
    with monkeypatch.context() as fewer:
        fewer.setattr(inputs, "MOST_LINES", 50_000)
        refused(lambda: csv_traces.read(tmp_path / "t.csv.gz"), "at most 50,000 lines")
    monkeypatch.setattr(inputs, "MOST_BYTES", 1_000_000)
    refused(lambda: csv_traces.read(tmp_path / "t.csv.gz"), "at most 1,000,000 bytes")


LAUGHS = "".join(f'<!ENTITY a{k} "{f"&a{k - 1};" * 10}">' for k in range(1, 12))
GRAPHS = {
    "lists in lists": "[" * 100_000,
    "objects in objects": '{"a":' * 150_000,
    "nodes in lists": '{"nodes":' + "[" * 50_000,
    "an id of 5,000 digits": '{"nodes":[{"id":' + "9" * 5000 + '}],"links":[]}',
    "a place of 400 digits": '{"nodes":[{"id":1,"pos":[1' + "0" * 400 + ',1]}],"links":[]}',
    "a place that is infinite": '{"nodes":[{"id":1,"pos":[1e999,1]}],"links":[]}',
    "a place in words": '{"nodes":[{"id":1,"pos":["' + "x" * 9000 + '",1]}],"links":[]}',
    "a link to a long id": '{"nodes":[{"id":1}],"links":[{"source":"'
    + "x" * 9000
    + '","target":1}]}',
    "a surrogate as an id": '{"nodes":[{"id":"\\ud800","pos":[1,1]}],"links":[]}',
    "NUL as an id": '{"nodes":[{"id":"a\\u0000b","pos":[1,1]}],"links":[]}',
    "no object": "[1,2]",
    "nodes without end": '{"nodes":[' + ",".join(["{}"] * 9000) + '],"links":[]}',
    "XML in XML": "<a>" * 100_000,
    "a billion laughs": f'<!DOCTYPE g [<!ENTITY a0 "ha">{LAUGHS}]><graphml>&a11;</graphml>',
}


@pytest.mark.parametrize("name", GRAPHS)
def test_networks_made_to_hurt(tmp_path: Path, name: str):
    path = tmp_path / "net.json"
    path.write_text(GRAPHS[name])
    refused(lambda: import_scenario("node-link", path, tmp_path / "o.toml"), f"{path}: ")
    assert list(tmp_path.iterdir()) == [path]


def test_names_that_are_no_text_are_told_and_written_as_text(tmp_path: Path):
    # A node without a place, and a file whose name's bytes are no UTF-8.
    path = tmp_path / "caf\udce9.json"
    path.write_text(
        '{"nodes":[{"id":"a","pos":[1,1]},{"id":"b","pos":[1.01,1]},{"id":"\\ud800"}],'
        '"links":[{"source":"a","target":"\\ud800"},{"source":"b","target":"\\ud800"}]}'
    )
    result = import_scenario("node-link", path, tmp_path / "o.toml")
    assert any(line.endswith("through them: \\ud800") for line in result.lines)
    assert "From caf\\udce9.json" in (tmp_path / "o.toml").read_text(encoding="utf-8")
    assert files.load(tmp_path / "o.toml").description.endswith("caf\\udce9.json")
    with pytest.raises(RunError, match="printable text"):
        import_scenario("node-link", path, tmp_path / "caf\udce9.toml")


def test_more_than_can_be_laid_out_is_refused_before_it_is():
    far = sites.Layout(tuple(map(str, range(50_000))), np.zeros((50_000, 2)), None)
    refused(
        lambda: backhaul.hop_counts(scenario.Backhaul(kind="gabriel"), far, 1.0),
        "stations must be at most 5,000, got 50,000; take those of one region",
    )
    refused(
        lambda: summary.check_size(1_000_000, 5_000),
        "must be at most 1,000,000,000, got 1,000,000 x 5,000 = 5,000,000,000; take fewer users",
        error=ScenarioError,
    )
    refused(
        lambda: traces.check_samples(1e6, 1000),
        "users times ticks must be at most 50,000,000 along a trace, got 1,000 x 1,000,000; take",
        error=ScenarioError,
    )


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=5))])
def test_a_start_in_the_year_1_is_refused(tmp_path: Path, zone: timezone):
    rows = "".join(f"a,{1_200_000_000 + 60 * k},37.7,-122.4\n" for k in range(30))
    (tmp_path / "t.csv").write_text("id,time,lat,lon\n" + rows)
    (tmp_path / "sites.csv").write_text("site_id,latitude,longitude\na,37.7,-122.4\n")
    refused(
        lambda: import_scenario(
            "csv",
            tmp_path / "t.csv",
            tmp_path / "o.toml",
            tmp_path / "sites.csv",
            start=datetime(1, 1, 1, tzinfo=zone),
        ),
        "start must lie in the years 1900 to 2199",
        error=ScenarioError,
    )


@pytest.mark.parametrize("step_s", [0.0, 0.001])
def test_a_user_everywhere_at_once_is_refused_before_all_is_compared(
    monkeypatch: pytest.MonkeyPatch, step_s: float
):
    # 3,000 fixes of one moment, or within 3 s: 4.5 million pairs that do not fit.
    monkeypatch.setattr(jumps, "MOST_PAIRS", 400_000)
    rng, count = np.random.default_rng(0), 3_000
    frame = pd.DataFrame(
        {
            "user_id": ["a"] * count,
            "time_s": 1e9 + step_s * np.arange(count),
            "latitude": rng.uniform(37.5, 37.9, count),
            "longitude": rng.uniform(-122.6, -122.2, count),
        }
    )
    refused(lambda: clean(frame, label="t.csv"), "t.csv: fixes of one user are so often in two")


def test_a_trace_spans_at_most_thirty_years():
    frame = pd.DataFrame({"user_id": ["a", "a", "b", "b"], "time_s": [0.0, 60.0, 9e10, 9e10 + 60]})
    refused(lambda: traces.best_window(frame, 30.0, 300.0), "must span at most 15,811,200 minutes")

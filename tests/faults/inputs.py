"""Small inputs of every format, all of them good."""

import gzip
import io
import json
import tarfile
import zipfile
from pathlib import Path

SITES = """site_id,latitude,longitude
north,37.80,-122.42
east,37.78,-122.39
south,37.75,-122.42
west,37.77,-122.45
"""
_START_S = 1_700_000_000


def trace(users: int = 3) -> str:
    """Users for twenty-five minutes, a fix a minute, east and west through the sites."""
    rows = ["user_id,time_s,latitude,longitude"]
    for user in range(users):
        for minute in range(26):
            north = 37.755 + 0.015 * user
            east = -122.45 + 0.06 * abs((minute + 9 * user) % 26 - 13) / 13
            rows.append(f"u{user},{_START_S + 60 * minute},{north:.5f},{east:.5f}")
    return "\n".join(rows) + "\n"


def cabs() -> dict[str, bytes]:
    """The same users as files of cabs, newest fix first."""
    files: dict[str, list[str]] = {}
    for row in trace().splitlines()[1:]:
        user, time_s, north, east = row.split(",")
        files.setdefault(f"new_{user}.txt", []).append(f"{north} {east} 0 {time_s}")
    return {name: ("\n".join(reversed(lines)) + "\n").encode() for name, lines in files.items()}


def tar() -> bytes:
    """Those files in a .tar.gz."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name, text in cabs().items():
            member = tarfile.TarInfo(f"cabs/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    return gzip.compress(data.getvalue(), mtime=0)


def zipped() -> bytes:
    """Those files in a .zip."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in cabs().items():
            archive.writestr(zipfile.ZipInfo(f"cabs/{name}"), text, zipfile.ZIP_DEFLATED)
    return data.getvalue()


GRAPHML = """<?xml version="1.0" encoding="utf-8"?>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
  <key attr.name="Latitude" attr.type="double" for="node" id="d0"/>
  <key attr.name="Longitude" attr.type="double" for="node" id="d1"/>
  <key attr.name="label" attr.type="string" for="node" id="d2"/>
  <graph edgedefault="undirected">
    <node id="0"><data key="d0">37.80</data><data key="d1">-122.42</data><data key="d2">north</data></node>
    <node id="1"><data key="d0">37.78</data><data key="d1">-122.39</data><data key="d2">east</data></node>
    <node id="2"><data key="d0">37.75</data><data key="d1">-122.42</data><data key="d2">south</data></node>
    <edge source="0" target="1"/><edge source="1" target="2"/>
  </graph>
</graphml>
"""
NODE_LINK = json.dumps(
    {
        "directed": False,
        "multigraph": False,
        "graph": {},
        "nodes": [
            {"id": "north", "pos": [-122.42, 37.80]},
            {"id": "east", "pos": [-122.39, 37.78]},
            {"id": "south", "pos": [-122.42, 37.75]},
        ],
        "edges": [{"source": "north", "target": "east"}, {"source": "east", "target": "south"}],
    },
    indent=1,
)

SOURCES = {
    "csv": "inputs/trace.csv",
    "csv of another trace": "inputs/other.csv",
    "cabspotting": "inputs/cabs.tar.gz",
    "graphml": "inputs/net.graphml",
    "node-link": "inputs/net.json",
}


def import_command(kind: str, duration: str = "20 min") -> tuple[str, ...]:
    """The command that makes a scenario of the input of that kind."""
    command = ("scenario", "import", kind.split()[0], SOURCES[kind], "--out", "made/o.toml")
    if not kind.startswith(("graphml", "node-link")):
        command += ("--sites", "inputs/sites.csv", "--duration", duration)
    return command


def write_inputs(folder: Path) -> None:
    """Write every input below `folder / "inputs"`, and make the folder for what is made of them."""
    inputs = folder / "inputs"
    (inputs / "cabs").mkdir(parents=True)
    (folder / "made").mkdir()
    texts = {
        "trace.csv": trace(),
        "other.csv": trace(2),
        "sites.csv": SITES,
        "net.graphml": GRAPHML,
        "net.json": NODE_LINK,
    }
    for name, text in texts.items():
        (inputs / name).write_text(text)
    for name, content in cabs().items():
        (inputs / "cabs" / name).write_bytes(content)
    (inputs / "cabs.tar.gz").write_bytes(tar())
    (inputs / "cabs.zip").write_bytes(zipped())

"""The importers on the real data of one day in San Francisco, where it is at hand."""

import os
from pathlib import Path

import numpy as np
import pytest

from isma.errors import DataError
from isma.world import backhaul, files, scenario, sites, traces
from isma.world.importers import cabspotting, topology
from isma.world.importers.make import import_scenario

DATA = Path(os.environ.get("ISMA_DATA") or Path(__file__).parents[4] / "shared" / "data")
CABS, TOWERS = DATA / "sf_cabspotting", DATA / "sf_celltowers"

pytestmark = pytest.mark.skipif(
    not CABS.is_dir(), reason=f"no real data at {DATA}: set ISMA_DATA to its folder"
)


@pytest.mark.slow
def test_a_day_of_cabs_agrees_with_the_recorded_cells(tmp_path: Path):
    result = import_scenario(
        "cabspotting",
        CABS / "cabspotting_20080531.tar.gz",
        tmp_path / "sf.toml",
        sites=TOWERS / "cells.csv",
        cells=TOWERS / "cell_of_cab.csv.gz",
        users="throughout",
    )
    print(*result.lines, sep="\n")
    nearest = next(line for line in result.lines if line.startswith("nearest site is"))
    assert float(nearest.split(" in ")[1].split("%")[0]) >= 75
    assert any("hand-overs per active user-hour" in line for line in result.lines)
    world = files.load(tmp_path / "sf.toml")
    assert world.mobility.kind == "trace"
    layout = sites.layout(world.sites)
    moving = traces.trajectories(world.mobility, layout.projection, 7200.0, 10.0, None)
    said = next(line for line in result.lines if " users from " in line)
    assert len(moving.user_ids) == int(said.split()[0]) > 200
    speed_mps = np.linalg.norm(np.diff(moving.position_m, axis=0), axis=-1) / 10
    assert speed_mps.max() < 51  # 50 on a sphere is a little more on the plane


def test_the_sample_folder_is_read():
    frame = cabspotting.read(CABS / "sample_60cabs_1h").frame
    assert frame["user_id"].nunique() == 60


def test_towers_and_melbourne_are_networks():
    for table in (TOWERS / "cells.csv", DATA / "eua_melbourne" / "site-optus-melbCBD.csv"):
        layout = sites.from_table(sites.read(table))
        hops = backhaul.hop_counts(scenario.Backhaul(kind="delaunay"), layout, 1.0)
        assert hops.max() < 40


def test_every_topology_with_degrees_is_a_backhaul():
    refused = {}
    paths = [*DATA.glob("topologies/**/*.*ml")]
    paths += DATA.glob("topologies/topohub_*/*.json")
    for path in paths:
        try:
            nodes = topology.sites_of(backhaul.read_graph(path), path)
        except DataError as error:
            refused[path.stem] = str(error)
            continue
        layout = sites.from_table(nodes.table)
        linked = scenario.Backhaul(kind="file", file=path)
        assert backhaul.hop_counts(linked, layout, 1.0).max() < len(layout.ids)
    assert len(paths) == 236
    planar = "atlanta di-yuan france giul39 newyork norway pioro40 sun ta1 ta2 zib54"
    assert sorted(refused) == planar.split()
    assert all("must lie between" in said for said in refused.values())

"""Sites as people have them, by hand: cells of OpenCelliD, metres, a lattice, nodes with x and y."""

import json
from datetime import UTC, datetime
from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd
import pytest

from isma.errors import DataError, ScenarioError
from isma.world import backhaul, files, traces
from isma.world.importers import site_tables, topology
from isma.world.importers.make import import_scenario
from isma.world.sites import Projection

HEADER = (
    "radio,mcc,net,area,cell,unit,lon,lat,range,samples,changeable,created,updated,averageSignal\n"
)
CELLS = (
    "LTE,222,10,30500,7683,0,11.34,44.49,1000,7,1,1459692342,1459692342,0\n"
    "LTE,222,10,30500,7684,0,11.34,44.49,1000,7,1,1459692342,1459692342,0\n"
    "GSM,222,1,41000,12,0,11.36,44.50,1000,7,1,1459692342,1459692342,0\n"
)


@pytest.mark.parametrize("header", [HEADER, ""])
def test_cells_of_opencellid(tmp_path: Path, header: str):
    """Longitude before latitude; two cells on one mast are one site; names are of four numbers."""
    path = tmp_path / "222.csv"
    path.write_text(header + CELLS)
    read = site_tables.read(path)
    assert read.table.ids == ("222-10-30500-7683", "222-1-41000-12")
    assert read.table.latitude.tolist() == [44.49, 44.50]
    assert read.table.longitude.tolist() == [11.34, 11.36]
    assert read.lines == (
        "2 sites of 3 cells of OpenCelliD (2 LTE, 1 GSM), named mcc-net-area-cell",
        "1 cells stand where another does and are no site of their own: 222-10-30500-7684",
    )
    path.write_text(header + CELLS + CELLS.splitlines()[0].replace("44.49", "44.6") + "\n")
    line = 5 if header else 4
    with pytest.raises(
        DataError, match=rf"line {line}: a cell must stand at one place, got 222-10-"
    ):
        site_tables.read(path)
    path.write_text(header + CELLS.replace("44.50", "north"))
    with pytest.raises(DataError, match="lat and lon must be numbers of degrees"):
        site_tables.read(path)


def test_sites_in_metres_go_with_a_trace_in_metres(tmp_path: Path):
    (tmp_path / "s.csv").write_text("id,x,y\na,0,0\nb,3000,4000\n")
    read = site_tables.read(tmp_path / "s.csv")
    place = Projection(0, 0).to_metres(read.table.latitude, read.table.longitude)
    np.testing.assert_allclose(place, [[0, 0], [3000, 4000]], atol=1e-6)
    assert read.plain
    (tmp_path / "t.csv").write_text("id,time,lat,lon\na,1600000000,0,0\na,1600000060,0,0.001\n")
    with pytest.raises(
        ScenarioError, match="must both be on Earth or both on one plane, got sites in"
    ):
        import_scenario("csv", tmp_path / "t.csv", tmp_path / "o.toml", tmp_path / "s.csv")
    (tmp_path / "t.csv").write_text("id,time,x,y\na,1600000000,0,0\na,1600000060,300,400\n")
    result = import_scenario("csv", tmp_path / "t.csv", tmp_path / "o.toml", tmp_path / "s.csv")
    # 500 m in 60 s are 8.33 m/s. Speeds are measured on a sphere, on which the ellipsoid's 400 m north
    # are 402.2 m and its 300 m east 299.7 m: 501.6 m, 8.36 m/s.
    assert any("median speed 8.4 m/s" in line for line in result.lines)
    (tmp_path / "s.csv").write_text("id,x,y\na,0,0\nb,30,40\n")
    with pytest.raises(ScenarioError, match="may be degrees or metres"):
        site_tables.read(tmp_path / "s.csv")


def test_sites_alone_are_a_scenario_too(tmp_path: Path):
    """Four sites on a square of 0.01 degrees at the equator: 1.1 km, four links, two hops at most."""
    rows = [f"{north}-{east},{north / 100},{east / 100}" for north in (0, 1) for east in (0, 1)]
    (tmp_path / "s.csv").write_text("\n".join(["SITE_ID,LATITUDE,LONGITUDE", *rows]) + "\n")
    result = import_scenario("sites", tmp_path / "s.csv", tmp_path / "o.toml")
    assert result.lines == (
        "read s.csv: sites",
        "4 sites",
        "backhaul: 4 links (gabriel graph), 1.0 hops on average, 2 at most",
        "a site's nearest neighbour is 1.11 km away (median)",
    )
    world = files.load(tmp_path / "o.toml")
    assert (world.mobility, world.users) == (
        files.load("paper").mobility,
        files.load("paper").users,
    )
    start = datetime(2020, 1, 1, tzinfo=UTC)
    with pytest.raises(
        ScenarioError, match="--start must not be given with sites: it is the table"
    ):
        import_scenario("sites", tmp_path / "s.csv", tmp_path / "o.toml", start=start)


def test_a_lattice_stands_where_users_pass(tmp_path: Path):
    """A way of 3 km to the east: sites 500 m apart along it, none far from it, and said to be made up."""
    rows = "".join(f"a,{1_600_000_000 + 10 * k},{100 * k + 500},800\n" for k in range(31))
    (tmp_path / "t.csv").write_text("id,time,x,y\n" + rows)
    spot = Path("hexagonal:500m")
    result = import_scenario("csv", tmp_path / "t.csv", tmp_path / "o.toml", spot)
    assert "made-up sites on a hexagonal lattice, 500 m apart, where users pass" in result.lines[0]
    table = pd.read_csv(tmp_path / "o.sites.csv")
    place = Projection(0, 0).to_metres(
        table["latitude"].to_numpy(np.float64), table["longitude"].to_numpy(np.float64)
    )
    apart = np.linalg.norm(place[:, None] - place, axis=-1) + 1e9 * np.eye(len(place))
    np.testing.assert_allclose(apart.min(axis=1), 500, rtol=1e-4)
    assert 6 <= len(place) <= 14
    east = np.linspace(500, 3500, 31)
    way = np.stack([east, np.full(31, 800.0)], axis=1)
    near = np.linalg.norm(place[:, None] - way, axis=-1).min(axis=0)
    assert near.max() <= 500 / np.sqrt(3) + 1
    assert len(traces.read(tmp_path / "o.trace.parquet")) == 31
    for text, said in {
        "hexagonal:far": "must be a number or a number with a unit",
        "hexagonal:0.1": "must be 1 m to 100 km apart",
    }.items():
        with pytest.raises(ScenarioError, match=said):
            import_scenario("csv", tmp_path / "t.csv", tmp_path / "o.toml", Path(text))


def test_a_topology_with_x_and_y(tmp_path: Path):
    """OSMnx's graphs say EPSG:4326: x is longitude. Others may be metres, and are refused unasked."""
    graph = nx.MultiDiGraph(crs="epsg:4326")
    graph.add_node(1, x=11.34, y=44.49)
    graph.add_node(2, x=11.35, y=44.50)
    graph.add_edge(1, 2)
    nx.write_graphml(graph, tmp_path / "g.graphml")
    nodes = topology.sites_of(backhaul.read_graph(tmp_path / "g.graphml"), tmp_path / "g.graphml")
    assert nodes.table.longitude.tolist() == [11.34, 11.35]
    assert nodes.table.latitude.tolist() == [44.49, 44.50]
    assert nodes.said == "x is longitude, y latitude, as its crs epsg:4326 says"
    del graph.graph["crs"]
    tree = nx.node_link_data(graph, edges="links")
    (tmp_path / "g.json").write_text(json.dumps(tree))
    with pytest.raises(ScenarioError, match="may be degrees or metres"):
        import_scenario("node-link", tmp_path / "g.json", tmp_path / "o.toml")
    result = import_scenario("node-link", tmp_path / "g.json", tmp_path / "o.toml", crs="degrees")
    assert "2 sites from the topology's nodes; x is longitude, y latitude, as given" in result.lines
    tree["nodes"][1] |= {"x": 3000.0, "y": 4000.0}
    (tmp_path / "g.json").write_text(json.dumps(tree))
    result = import_scenario("node-link", tmp_path / "g.json", tmp_path / "o.toml")
    assert "x and y are metres east and north, by the size of the numbers" in result.lines[1]
    assert files.load(tmp_path / "o.toml").sites.kind == "file"

"""Layouts by hand, tables as people bring them, and what is refused."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import KDTree

from isma.errors import DataError
from isma.world import scenario, sites


def test_hexagonal_layout_is_a_centre_and_its_ring():
    layout = sites.layout(scenario.Sites(count=7, coverage_radius_m=1000.0))
    spacing_m = math.sqrt(3) * 1000
    from_centre_m = np.linalg.norm(layout.position_m - layout.position_m[0], axis=1)
    assert layout.ids == ("0", "1", "2", "3", "4", "5", "6")
    assert layout.projection is None
    assert layout.position_m.dtype == np.float64
    np.testing.assert_allclose(from_centre_m, [0, *[spacing_m] * 6], rtol=1e-12)
    ring_m = np.linalg.norm(np.diff(layout.position_m[1:], axis=0), axis=1)
    np.testing.assert_allclose(ring_m, spacing_m, rtol=1e-12)


@given(st.integers(2, 200))
def test_every_hexagonal_site_has_a_neighbour_at_the_spacing_and_none_nearer(count: int):
    nearest_m = KDTree(points := sites.hexagonal(count, 10.0)).query(points, k=2)[0][:, 1]
    np.testing.assert_allclose(nearest_m, 10.0, rtol=1e-9)


@given(st.integers(1, 100), st.integers(0, 50))
def test_a_larger_hexagonal_layout_begins_with_the_smaller(count: int, more: int):
    np.testing.assert_array_equal(
        sites.hexagonal(count + more, 1.0)[:count], sites.hexagonal(count, 1.0)
    )


@given(
    st.floats(-80, 80), st.floats(-180, 180), st.floats(-50_000, 50_000), st.floats(-50_000, 50_000)
)
def test_projection_turns_back(latitude: float, longitude: float, east_m: float, north_m: float):
    projection = sites.Projection(latitude, longitude)
    position_m = np.array([[east_m, north_m]])
    back_m = projection.to_metres(*projection.to_degrees(position_m))
    np.testing.assert_allclose(back_m, position_m, atol=1e-3)


def test_table_is_projected_around_its_middle(tmp_path: Path):
    # On the equator WGS84 has 111,319.49 m per degree east and 110,574 m per degree north.
    table = tmp_path / "sites.csv"
    table.write_text("site_id,latitude,longitude\na,0,-0.01\nb,0,0.01\n")
    layout = sites.layout(scenario.Sites(kind="file", file=table))
    assert layout.ids == ("a", "b")
    np.testing.assert_allclose(layout.position_m, [[-1113.195, 0], [1113.195, 0]], atol=0.01)


def test_middle_of_sites_on_both_sides_of_the_date_line():
    table = sites.SiteTable(("a", "b"), np.array([0.0, 0.0]), np.array([179.99, -179.99]))
    assert np.abs(sites.from_table(table).position_m).max() < 1200


@pytest.mark.parametrize(
    "text",
    [
        "cell_id,latitude,longitude\n7,1,2\n",
        "SITE_ID,LATITUDE,LONGITUDE,NAME\n7,1,2,corner\n",
        "lng;Lat;name\n2;1;7\n",
        "\ufeffid\tlat\tlon\n\n7\t1\t2\n\n",
    ],
)
def test_usual_names_and_signs_are_understood(tmp_path: Path, text: str):
    (tmp_path / "sites.csv").write_text(text, encoding="utf-8")
    table = sites.read(tmp_path / "sites.csv")
    assert (table.ids, table.latitude.tolist(), table.longitude.tolist()) == (("7",), [1.0], [2.0])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty file"),
        ("id,lat,lon\n", "got a header alone"),
        ("id,lattitude,lon\na,1,2\n", "the columns are id, lattitude, lon; the nearest is 'latt"),
        ("id,lat,lon\na,1,2\nb,nan,2\n", "line 3: latitude must lie between -90 and 90 degrees"),
        ("id,lat,lon\na,1,2\n\nb,,2\n", "line 4: lat must be a number of degrees, got ''"),
        ("id,lat,lon\na,91,2\n", "line 2: latitude must lie between -90 and 90 degrees, got 91"),
        ("id,lat,lon\na,1,-200\n", "longitude must lie between -180 and 180 degrees, got -200"),
        ("id,lat,lon\na,1,2\na,1,3\n", "line 3: site ids must differ, got 'a' again after"),
        ("id,lat,lon\na,1,2\nb,1.0,2\n", "line 3: sites must stand apart, got 1, 2 again after"),
        ("id,lat,lon\n,1,2\n", "line 2: id must be given"),
        ("id,lat,lon\na,1\n", "line 2: must have 3 columns as the header, got 2"),
    ],
)
def test_garbage_is_refused_with_file_line_and_reason(tmp_path: Path, text: str, said: str):
    path = tmp_path / "sites.csv"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        sites.read(path)
    assert str(caught.value).startswith(str(path))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_text_or_not_there_is_refused(tmp_path: Path):
    (tmp_path / "sites.csv").write_bytes(b"\xff\x00\x01\n\x80")
    with pytest.raises(DataError, match="not text"):
        sites.read(tmp_path / "sites.csv")
    with pytest.raises(DataError, match="no such file of sites"):
        sites.read(tmp_path / "none.csv")
    with pytest.raises(DataError, match="cannot be read"):
        sites.read(tmp_path)


@given(
    st.lists(
        st.tuples(st.text("ab,\"' 1", min_size=1).filter(str.strip), st.floats(-90, 90)),
        min_size=1,
        unique_by=(lambda row: row[0].strip(), lambda row: row[1]),
    )
)
def test_a_written_table_reads_back(tmp_path_factory: pytest.TempPathFactory, rows):
    ids, latitude = zip(*((name.strip(), north) for name, north in rows), strict=True)
    table = sites.checked(ids, latitude, latitude, ids)
    path = tmp_path_factory.mktemp("sites") / "sites.csv"
    path.write_text(sites.dumps(table))
    back = sites.read(path)
    assert back.ids == table.ids
    np.testing.assert_array_equal(back.latitude, table.latitude)
    np.testing.assert_array_equal(back.longitude, table.longitude)

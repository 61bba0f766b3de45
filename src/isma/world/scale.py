"""Size of a city beyond which only near servers are candidates of each user."""

LARGE = 2**19
"""Users × stations up to which every server is a candidate: tables of 2 MB."""


def is_large(num_users: int, num_stations: int) -> bool:
    """Whether only near servers are candidates."""
    return num_users * num_stations > LARGE

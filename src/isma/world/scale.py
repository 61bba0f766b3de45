"""How large a city may be before only near servers are looked at for each user."""

LARGE = 2**19
"""Users × stations up to which everything is looked at: tables of 2 MB."""


def is_large(num_users: int, num_stations: int) -> bool:
    """Whether only what is near is looked at."""
    return num_users * num_stations > LARGE

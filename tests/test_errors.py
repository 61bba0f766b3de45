"""What is said of a name that nobody knows."""

import pytest

from isma.errors import unknown


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("pric", "unknown policy 'pric': did you mean 'price'?"),
        ("zzz", "unknown policy 'zzz': must be one of price, stay, or a class"),
    ],
)
def test_a_near_name_stands_alone_and_else_all_do(name: str, said: str) -> None:
    assert unknown("policy", name, ["stay", "price"], "a class") == said


def test_nothing_but_names_may_be_known() -> None:
    assert unknown("scale", "zzz", ["full"]) == "unknown scale 'zzz': must be one of full"

"""Numbers as tables write them: with a decimal point, or with a decimal comma."""

import re
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

_COMMA = re.compile(r"[-+]?(?:\d+|\d{1,3}(?:\.\d{3})+),\d+")
"""12,5 or 1.234,5."""
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?:\.\d{3})+")
_WHOLE = re.compile(r"[-+]?\d+")


class Numbers(NamedTuple):
    """A column of numbers."""

    values: Float[np.ndarray, "rows"]
    """NaN for an entry that is no number."""
    commas: bool
    """Whether a comma stands before the decimals."""


def numbers_of(text: pd.Series, may_have_commas: bool) -> Numbers:
    """Numbers of a column; commas are decimal only where another sign parts the columns.

    With decimal commas a point separates thousands; any other text with a point is no number.
    """
    commas = np.zeros(len(text), dtype=bool)
    if may_have_commas:
        commas = np.asarray([bool(_COMMA.fullmatch(value)) for value in text])
    if commas.any():
        clear = commas | np.asarray(
            [bool(_THOUSANDS.fullmatch(value) or _WHOLE.fullmatch(value)) for value in text]
        )
        plain = text.str.replace(".", "", regex=False).str.replace(",", ".", regex=False)
        text = plain.where(clear, "")
    return Numbers(
        np.asarray(pd.to_numeric(text, errors="coerce"), dtype=np.float64), bool(commas.any())
    )

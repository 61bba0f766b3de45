"""Good inputs, made bad: bytes, numbers, tokens and whole parts, by a seed."""

import random
import re
from collections.abc import Callable

_NUMBER = re.compile(rb"(?<![\w.])[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_WORD = re.compile(rb"[A-Za-z_][\w.-]*")
ODD_NUMBERS = (
    b"0", b"-0.0", b"-1", b"1e400", b"-1e400", b"1e308", b"1e-400", b"nan", b"inf", b"-inf", b"9" * 30,
    b"9" * 5000, b"1" + b"0" * 400, b"2147483648", b"-9223372036854775809", b"18446744073709551616",
    b"1e11", b"-1e12", b"3.5e15", b"0x10", b"1_000", b"1,5", b"90.0001", b"-180.1", b"true", b"1e-9",
    b"100000000", b"0001-01-01T00:00:00", b"9999-12-31T23:59:59Z", b"10 parsecs",
)  # fmt: skip
"""What may stand where a number should."""
ODD_WORDS = (
    b"", b" ", b"\0", b"\xef\xbb\xbf", b"\xff\xfe", b"\xed\xa0\x80", b"\x1b[31m", b"\r", b"\n\n", b'"', b"'",
    b"[" * 3000, b"{" * 3000, b'{"a":' * 2000, b"a.b." * 500, b"x" * 100_000, b"../../../etc/passwd",
    b"/dev/zero", b"null", b"None", b"__class__", b"\\ud800", b"\\u0000", b"{{7*7}}", b"%s%s%n",
    "é".encode("latin-1"), "Ω".encode(), "\u202e".encode(), b"[[", b"]]", b"<!ENTITY a 'b'>", b"&a;",
    b"<node/>", b"name = 1", b"[users]\n", b"count = 3\n",
)  # fmt: skip
"""What may stand anywhere."""

Mutation = Callable[[bytes, random.Random], bytes]


def mutant(content: bytes, dice: random.Random) -> bytes:
    """The content after one to three mutations."""
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        content = dice.choice(MUTATIONS)(content, dice)
    return content


def _bit(content: bytes, dice: random.Random) -> bytes:
    if not content:
        return content
    bit = dice.randrange(8 * len(content))
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def _cut(content: bytes, dice: random.Random) -> bytes:
    return content[: dice.randrange(len(content) + 1)]


def _without(content: bytes, dice: random.Random) -> bytes:
    start, end = _span(content, dice)
    return content[:start] + content[end:]


def _twice(content: bytes, dice: random.Random) -> bytes:
    start, end = _span(content, dice)
    return content[:end] + content[start:end] * dice.choice((1, 2, 50)) + content[end:]


def _noise(content: bytes, dice: random.Random) -> bytes:
    start, end = _span(content, dice)
    return content[:start] + dice.randbytes(dice.randrange(1, 40)) + content[end:]


def _odd_word(content: bytes, dice: random.Random) -> bytes:
    place = dice.randrange(len(content) + 1)
    return content[:place] + dice.choice(ODD_WORDS) + content[place:]


def _other_number(content: bytes, dice: random.Random) -> bytes:
    return _replaced(_NUMBER, ODD_NUMBERS, content, dice)


def _other_word(content: bytes, dice: random.Random) -> bytes:
    return _replaced(_WORD, (*ODD_WORDS, *ODD_NUMBERS), content, dice)


def _all_numbers(content: bytes, dice: random.Random) -> bytes:
    odd = dice.choice(ODD_NUMBERS)
    return _NUMBER.sub(lambda match: odd if dice.random() < 0.3 else match.group(), content)


def _lines_mixed(content: bytes, dice: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    dice.shuffle(lines)
    return b"".join(lines)


def _line_moved(content: bytes, dice: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    if lines:
        lines.insert(dice.randrange(len(lines)), lines.pop(dice.randrange(len(lines))))
    return b"".join(lines)


def _other_encoding(content: bytes, dice: random.Random) -> bytes:
    text = content.decode("utf-8", "replace")
    return text.encode(
        dice.choice(("utf-16", "utf-16-le", "utf-8-sig", "utf-32", "cp500")), "replace"
    )


def _other_ends(content: bytes, dice: random.Random) -> bytes:
    return content.replace(b"\n", dice.choice((b"\r\n", b"\r", b"\0", b"", b"\n\n")))


MUTATIONS: tuple[Mutation, ...] = (
    _bit, _bit, _cut, _without, _twice, _noise, _odd_word, _odd_word, _other_number, _other_number,
    _other_number, _other_word, _other_word, _all_numbers, _lines_mixed, _line_moved, _other_encoding,
    _other_ends,
)  # fmt: skip
"""One is drawn at each mutation; what finds most is there more than once."""


def _span(content: bytes, dice: random.Random) -> tuple[int, int]:
    start = dice.randrange(len(content) + 1)
    return start, min(len(content), start + dice.choice((1, 2, 8, 40, 400)))


def _replaced(
    what: re.Pattern[bytes], by: tuple[bytes, ...], content: bytes, dice: random.Random
) -> bytes:
    found = list(what.finditer(content))
    if not found:
        return content
    start, end = dice.choice(found).span()
    return content[:start] + dice.choice(by) + content[end:]

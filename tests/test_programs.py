"""Compiled programs: each compiled once, kept in a folder, and never taken for another."""

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

from isma import program_cache
from isma.programs import Programs

KEY = jax.random.key(3)
MADE_OF = {"code": "1"}
ROWS = jnp.linspace(0, 1, 7)


class Answer(NamedTuple):
    """A result with all that a policy's memory may hold."""

    value: Any
    key: Any
    nothing: None
    whole: Any


TRACED: list[str] = []
"""Functions that have been traced, in their order."""


def function(rows: jax.Array, key: jax.Array, factor: float) -> Answer:
    TRACED.append("function")
    noise = jax.random.uniform(key, rows.shape)
    return Answer(jnp.sin(rows) * factor + noise, jax.random.split(key)[0], None, 3)


def calls_python(rows: jax.Array) -> jax.Array:
    return jax.pure_callback(lambda x: np.asarray(x) + 1, rows, rows)


def other(rows: jax.Array, way: Callable[[jax.Array], jax.Array]) -> jax.Array:
    return way(rows)


def traces() -> int:
    """How often `function` has been traced since this was last asked."""
    number = len(TRACED)
    TRACED.clear()
    return number


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache folder of the test's own, and none of JAX."""
    monkeypatch.setenv(program_cache.VARIABLE, str(tmp_path / "cache"))
    before = jax.config.values["jax_compilation_cache_dir"]
    _use_of_jax(None)
    TRACED.clear()
    yield tmp_path / "cache"
    _use_of_jax(before)


def _use_of_jax(path: str | None) -> None:
    jax.config.update("jax_compilation_cache_dir", path)
    compilation_cache.reset_cache()


def kept(folder: Path) -> list[Path]:
    return sorted((folder / "programs").glob("*"))


def answer(made_of: Any = MADE_OF, *args: Any) -> Any:
    """Result of the function's program in a process that has compiled nothing yet."""
    args = args or (ROWS, KEY, 2.0)
    return Programs().get(function, made_of, *args)(*args)


def assert_same(found: Answer, expected: Answer) -> None:
    np.testing.assert_array_equal(found.value, expected.value)
    np.testing.assert_array_equal(jax.random.key_data(found.key), jax.random.key_data(expected.key))
    assert found.nothing is None
    assert int(found.whole) == 3


def test_the_next_process_compiles_nothing(folder: Path) -> None:
    made = answer()
    assert traces() == 1
    assert_same(answer(), made)
    assert traces() == 0
    assert_same(made, jax.jit(function, static_argnums=2)(ROWS, KEY, 2.0))
    assert len(kept(folder)) == 2, "the executable, and its key under that of all it depends on"


def test_an_edit_that_changes_no_code_compiles_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = answer()
    monkeypatch.delattr(jax.stages.Lowered, "compile")
    assert_same(answer({"code": "with a comment"}), expected)
    assert traces() == 2
    assert_same(answer({"code": "with a comment"}), expected)
    assert traces() == 0
    assert len(kept(folder)) == 3


def first_of_two(one: jax.Array, two: jax.Array) -> jax.Array:
    return one + 1


def second_of_two(one: jax.Array, two: jax.Array) -> jax.Array:
    return two + 1


def last_of_three(one: jax.Array, two: jax.Array, three: jax.Array) -> jax.Array:
    return three + 1


@pytest.mark.parametrize("later", [second_of_two, last_of_three])
def test_code_that_reads_another_argument_is_other_code(later: Callable[..., jax.Array]) -> None:
    """Without the arguments that are not used both would be the same text."""
    given = (ROWS, ROWS + 1, ROWS + 2)
    Programs().get(first_of_two, MADE_OF, *given[:2])(*given[:2])
    args = given[: 2 if later is second_of_two else 3]
    np.testing.assert_array_equal(Programs().get(later, MADE_OF, *args)(*args), args[-1] + 1)


def test_a_key_depends_on_no_order(folder: Path) -> None:
    answer({"code": {"a": "1", "b": "2"}})
    answer({"code": {"b": "2", "a": "1"}})
    assert traces() == 1


def test_whoever_asks_meanwhile_waits() -> None:
    programs, barrier = Programs(), threading.Barrier(4)

    def ask(_: int) -> Answer:
        barrier.wait()
        return programs.get(function, None, ROWS, KEY, 2.0)(ROWS, KEY, 2.0)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(ask, range(4)))
    assert traces() == 1
    for one in found[1:]:
        assert_same(one, found[0])


def test_everything_that_decides_a_program_names_it(folder: Path) -> None:
    answer()
    answer({"code": "2"})
    answer(MADE_OF, ROWS, KEY, 3.0)  # A number that is no array is part of the program.
    answer(MADE_OF, ROWS[1:], KEY, 2.0)
    answer(MADE_OF, ROWS.astype(jnp.float16), KEY, 2.0)
    assert traces() == 5
    assert len(kept(folder)) == 5 + 4, "names, and executables: the second has the first one's code"


def test_values_of_arrays_do_not(folder: Path) -> None:
    answer()
    rows = jnp.cos(ROWS)
    found = answer(MADE_OF, rows, KEY, 2.0)
    assert traces() == 1
    expected = jnp.sin(rows) * 2 + jax.random.uniform(KEY, rows.shape)
    np.testing.assert_allclose(found.value, expected, rtol=1e-6)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content[:200] + bytes([content[200] ^ 4]) + content[201:],
        lambda content: content[:-100] + content[-99:],
    ],
    ids=["empty", "truncated", "a bit", "a byte of the key"],
)
def test_a_damaged_program_is_compiled_anew(damage: Callable[[bytes], bytes], folder: Path) -> None:
    expected = answer()
    for path in kept(folder):
        path.write_bytes(damage(path.read_bytes()))
        traces()
        assert_same(answer(), expected)
        assert traces() == 1
        answer()
        assert traces() == 0, "and put in its place"


def test_a_program_is_not_taken_for_another(folder: Path) -> None:
    answer()
    answer({"code": "2"})
    paths = kept(folder)
    contents = [path.read_bytes() for path in paths]
    for path, content in zip(paths, [*contents[1:], contents[0]], strict=True):
        path.write_bytes(content)
    answer()
    answer({"code": "2"})
    assert traces() == 2 + 2


def test_what_is_not_known_to_the_last_bit_is_not_kept(folder: Path) -> None:
    answer(None)
    programs = Programs()
    programs.get(other, MADE_OF, ROWS, lambda rows: rows + 1)
    programs.get(lambda rows: rows + 1, MADE_OF, ROWS)
    assert kept(folder) == []


def test_a_program_that_calls_python_is_not_kept(folder: Path) -> None:
    found = Programs().get(calls_python, MADE_OF, ROWS)(ROWS)
    np.testing.assert_array_equal(found, ROWS + 1)
    assert kept(folder) == []


def test_what_jaxs_own_cache_gave_is_not_written_again(folder: Path, tmp_path: Path) -> None:
    """XLA cannot: the second time its functions are missing."""
    _use_of_jax(str(tmp_path / "jax"))
    least = jax.config.values["jax_persistent_cache_min_compile_time_secs"]
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    try:
        expected = answer()
        program_cache.clear(folder)
        assert_same(answer(), expected)
    finally:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", least)
    assert kept(folder) == []


def test_errors_of_tracing_are_told_each_time() -> None:
    programs = Programs()
    for _ in range(2):
        with pytest.raises(TypeError, match="callable"):
            programs.get(other, MADE_OF, ROWS, None)


def test_a_cache_may_be_off(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(program_cache.VARIABLE, "off")
    answer()
    assert program_cache.cache_folder() is None
    assert not folder.exists()


def test_a_folder_that_cannot_be_written_is_told_once(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder.write_text("a file")
    expected = jax.jit(function, static_argnums=2)(ROWS, KEY, 2.0)
    assert_same(answer(), expected)
    assert_same(answer({"code": "2"}), expected)
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "compiled programs are not kept"
    ]
    assert program_cache.unusable(folder) is not None


def test_what_was_used_least_recently_goes_first(folder: Path) -> None:
    paths = [folder / part / f"{number}" for part in ("programs", "xla") for number in range(5)]
    for age, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(100))
        os.utime(path, (1e9 - age, 1e9 - age))
    (folder / "mine.txt").write_text("no program")
    assert program_cache.contents(folder) == (10, 1000)
    assert program_cache.prune(folder, 1000) == (0, 0)
    assert program_cache.prune(folder, 999) == (2, 200)
    assert [path for path in paths if not path.exists()] == paths[-2:]
    assert program_cache.clear(folder) == (8, 800)
    assert (folder / "mine.txt").exists()


def test_the_users_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(program_cache.VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert program_cache.cache_folder() == tmp_path / "isma"
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")  # To be ignored, says the standard.
    monkeypatch.setenv("HOME", str(tmp_path))
    assert program_cache.cache_folder() == tmp_path / ".cache" / "isma"


def test_what_others_may_have_written_is_never_run(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = answer()
    name, executable = kept(folder)
    for path, mode in itertools.product((name, executable), (0o664, 0o646)):
        path.chmod(mode)
        traces()
        assert_same(answer(), made)
        assert traces() == 1
        assert "others may have written it" in caplog.text
        assert path.stat().st_mode & 0o777 == 0o644  # Compiled anew, and put in its place.
    assert program_cache.unusable(folder) is None
    folder.chmod(0o775)
    assert program_cache.unusable(folder) == "others may write to it, and so run code here"
    mine = name.stat()
    theirs = os.stat_result([*mine[:4], mine.st_uid + 1, *mine[5:10]])
    assert (program_cache.is_own(mine), program_cache.is_own(theirs)) == (True, False)

"""RECORD against members."""

from __future__ import annotations

import base64
import hashlib

import pytest

from pyrunenv.wheels.record import Record

INFO = "a-1.dist-info"
MEMBERS = {"a.py": b"a", "b.py": b"bb", f"{INFO}/RECORD": b"?"}


def row(path: str, content: bytes, algorithm: str = "sha256", size: str | None = None) -> str:
    digest = base64.urlsafe_b64encode(hashlib.new(algorithm, content).digest()).rstrip(b"=").decode()
    return f"{path},{algorithm}={digest},{len(content) if size is None else size}"


def problems(*rows: str, members: dict[str, bytes] = MEMBERS) -> tuple[str, ...]:
    record = Record(INFO, "\n".join(rows).encode())
    for path, content in members.items():
        record.compare(path, content)
    return record.problems()


A, B, ITSELF = row("a.py", b"a"), row("b.py", b"bb"), f"{INFO}/RECORD,,"


def test_a_whole_record_has_no_problems() -> None:
    """Itself and its signatures are exempt, listed or not; better hashes, an absent size and a row twice are fine."""
    assert problems(A, B, ITSELF) == ()
    assert problems(A, B) == ()
    assert problems(row("a.py", b"a", "sha512"), row("b.py", b"bb", size=""), B, ITSELF) == ()
    more = {**MEMBERS, f"{INFO}/RECORD.jws": b"{}", f"{INFO}/RECORD.p7s": b""}
    assert problems(A, B, f"{INFO}/RECORD.jws,,", members=more) == ()
    assert problems('"a,b.py",' + row("x", b"").partition(",")[2], members={"a,b.py": b""}) == ()


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ((A, ITSELF), "b.py is not listed"),
        ((A, B, row("c.py", b"c")), "c.py is listed and not there"),
        ((A, row("b.py", b"cc")), "b.py has another sha256 digest"),
        ((A, row("b.py", b"bb", size="3")), "b.py has 2 bytes and not 3"),
        ((A, "b.py,,"), "b.py is listed without a digest"),
        ((A, row("b.py", b"bb", "md5")), "b.py has a digest by md5, which the format does not allow"),
        ((A, row("b.py", b"bb", "sha1")), "b.py has a digest by sha1, which the format does not allow"),
        ((A, B, f"{INFO}/RECORD.jws,,"), f"{INFO}/RECORD.jws is listed and not there"),
        ((row("a.py", b"x"), A, B), "a.py has another sha256 digest"),
        ((A, B, "c.py"), "line 3 has 1 fields and not 3"),
        ((A, B, "other-1.dist-info/RECORD,,"), "other-1.dist-info/RECORD is listed and not there"),
    ],
)
def test_each_problem_is_named(rows: tuple[str, ...], expected: str) -> None:
    """One problem gives one line, which names the file."""
    assert problems(*rows) == (expected,)


def test_all_problems_are_named_at_once() -> None:
    """Size and digest of one file, and another file's absence."""
    assert problems(A, row("b.py", b"c")) == ("b.py has 2 bytes and not 1", "b.py has another sha256 digest")
    assert len(problems(row("c.py", b""), row("b.py", b""))) == 4


def test_a_wheel_without_a_readable_record_says_so_once() -> None:
    """None at all, no text, and what is no CSV."""
    none = Record(INFO, None)
    none.compare("a.py", b"a")
    assert none.problems() == ("there is none",)
    for content in (b"\xff", b'"' + b"x" * 200_000):
        record = Record(INFO, content)
        record.compare("a.py", b"a")
        (problem,) = record.problems()
        assert problem.startswith("it cannot be read: ")

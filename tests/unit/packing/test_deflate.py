"""Blocks of deflate that join into one stream."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.bundles import noise, text

from pyrunenv.packing import deflate
from pyrunenv.packing.deflate import BLOCK, END, STORED_BLOCK, Deflater, deflater, plain_from, store


def compress(parts: list[tuple[bytes, bool]], jobs: int, *, quick: bool = False) -> bytes:
    with deflater(jobs, quick=quick) as blocks:
        return joined(blocks, parts)


def joined(blocks: Deflater, parts: list[tuple[bytes, bool]]) -> bytes:
    out = b""
    for data, compressed in parts:
        for pieces in blocks.compressed(data) if compressed else blocks.plain(data):
            out += b"".join(pieces)
    return out + b"".join(b"".join(pieces) for pieces in blocks.finish()) + END


def inflate(stream: bytes) -> bytes:
    reader = zlib.decompressobj(-15)
    plain = reader.decompress(stream)
    assert reader.eof
    assert not reader.unused_data
    return plain


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=5000), st.integers(0, 200), st.booleans()), max_size=8))
def test_any_mixture_of_plain_and_stored_data_comes_back(pieces: list[tuple[bytes, int, bool]]) -> None:
    """Whatever is added, in whatever pieces, one inflater reads it back whole."""
    parts = [((data * times)[:STORED_BLOCK], compressed) for data, times, compressed in pieces]
    assert inflate(compress(parts, 2)) == b"".join(data for data, _ in parts)


def test_the_number_of_threads_does_not_change_the_bytes() -> None:
    """One thread and five write the same stream."""
    parts = [(text(3 * BLOCK + 17), False), (noise(STORED_BLOCK), True), (text(2 * BLOCK, 1), False)]
    assert compress(parts, 1) == compress(parts, 5)


def test_the_pieces_in_which_data_arrives_do_not_change_the_bytes() -> None:
    """A stream cut elsewhere by its reader gives the same blocks."""
    data = text(2 * BLOCK + 100)
    apart = [(data[i : i + 1000], False) for i in range(0, len(data), 1000)]
    assert compress([(data, False)], 2) == compress(apart, 2)


def test_a_block_refers_to_the_one_before_it() -> None:
    """Without the preceding 32 KB as dictionary, a repeated block of noise would not shrink."""
    repeated = noise(30_000)
    data = noise(BLOCK - len(repeated), 9) + repeated + repeated
    assert len(compress([(data, False)], 1)) < BLOCK + 2000


def test_what_follows_stored_data_does_not_refer_to_what_stands_before_it() -> None:
    """Plain, stored and plain again comes back, although the window holds other bytes then."""
    parts = [(text(5000), False), (noise(40_000), True), (text(5000), False)]
    assert inflate(compress(parts, 1)) == b"".join(data for data, _ in parts)


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, STORED_BLOCK])
def test_stored_blocks_hold_any_length(size: int) -> None:
    """Lengths at and around the 16-bit limit are read back, and cost five bytes a block."""
    data = noise(size)
    stream = b"".join(store(data)) + END
    assert inflate(stream) == data
    assert len(stream) == size + 5 * -(-size // 65535) + len(END)


def test_a_wheel_of_uncompressed_files_is_compressed() -> None:
    """A wheel that was zipped without compression would else make the archive larger than gzip does."""
    assert len(compress([(text(STORED_BLOCK), True)], 1)) < STORED_BLOCK / 2


@pytest.mark.parametrize("size", [0, 1, 9_000, 40_000, 300_000])
def test_the_plain_end_of_a_wheel_is_compressed(size: int) -> None:
    """A zip ends with its directory: all but at most a step of it is found, and what stands before it is stored."""
    data = noise(STORED_BLOCK - size) + text(size)
    start = plain_from(data)
    assert start >= STORED_BLOCK - size - deflate._STEP
    assert start <= STORED_BLOCK - size + deflate._STEP
    stream = compress([(data, True)], 2)
    assert inflate(stream) == data
    assert len(stream) < STORED_BLOCK - 0.4 * (STORED_BLOCK - start) + 100


@pytest.mark.parametrize("data", [b"", b"x", bytes(100), noise(100), noise(70_000), text(70_000)])
def test_data_of_any_length_is_looked_at(data: bytes) -> None:
    """Shorter data than a sample or a step is no special case."""
    assert plain_from(data) == (0 if len(set(data)) < 30 and len(data) > 99 else len(data))


def test_quick_compression_is_read_alike() -> None:
    """Another level for the same blocks: other bytes, the same content, about as many."""
    data = text(3 * BLOCK)
    quick, usual = compress([(data, False)], 2, quick=True), compress([(data, False)], 2)
    assert inflate(quick) == data
    assert quick != usual
    assert 0.9 * len(usual) < len(quick) < 1.2 * len(usual)


def test_noise_is_stored() -> None:
    """What gains nothing is stored: its bytes stand in the stream as they are."""
    data = noise(STORED_BLOCK)
    assert data[:65535] in compress([(data, True)], 1)


def test_few_blocks_are_in_memory_at_once() -> None:
    """The window holds back at most the blocks it says, so that memory does not grow with the stream."""
    with deflater(2) as blocks:
        for number in range(60):
            for _ in blocks.compressed(noise(STORED_BLOCK // 8, number)):
                pass
            assert len(blocks._pending) <= blocks.window


def test_a_failing_block_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a thread raises reaches the caller, and no thread is left waiting."""

    def broken(data: bytes, dictionary: bytes = b"", *, quick: bool = False) -> bytes:
        raise MemoryError("no room")

    monkeypatch.setattr(deflate, "deflate", broken)
    with pytest.raises(MemoryError, match="no room"):
        compress([(text(3 * BLOCK), False)], 2)

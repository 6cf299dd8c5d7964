"""Numbers as a person reads them."""

from __future__ import annotations


def size(count: int) -> str:
    """Return a number of bytes as a person reads it, in powers of ten."""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.2f} GB"


def signed(count: int) -> str:
    """Return a growth in bytes as a person reads it: with its sign."""
    return f"{'-' if count < 0 else '+'}{size(abs(count))}"


def counted(number: int, noun: str) -> str:
    """Return ``1 package`` or ``2 packages``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"

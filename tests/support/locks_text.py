"""The text of lock files for tests that look for names in them and parse nothing."""

from __future__ import annotations


def lock_text(*names: str) -> str:
    """Return a lock that holds some names."""
    entries = "".join(f'\n[[packages]]\nname = "{name}"\nversion = "1.0"\n' for name in names)
    return f'lock-version = "1.0"\ncreated-by = "pyrunenv"\n{entries}'

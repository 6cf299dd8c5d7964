"""The generated pages of the docs say what the program says."""

from __future__ import annotations

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_generated_pages_are_fresh() -> None:
    """`python docs/generate.py` writes them anew."""
    pages = runpy.run_path(str(DOCS / "generate.py"))["pages"]()
    assert len(pages) == 3
    assert [str(path) for path, text in pages.items() if path.read_text(encoding="utf-8") != text] == []

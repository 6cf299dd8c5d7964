"""Where a bundle's CPython comes from, and how it becomes a portable tree of one layout (``contract/backend.md``)."""

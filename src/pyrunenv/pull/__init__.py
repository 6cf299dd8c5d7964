"""Getting a published environment: resolved, downloaded, verified, unpacked, made a venv of."""

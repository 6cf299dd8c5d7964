"""What consumers find an environment by: descriptors, and later storage, npm and the catalogue."""

"""What archives are written with: a pinned compressor, zips, and the order of a tree."""

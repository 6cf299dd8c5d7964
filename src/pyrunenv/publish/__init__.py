"""What consumers find an environment by: descriptors; archives, releases and the catalogue in object storage."""

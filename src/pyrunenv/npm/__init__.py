"""npm packages of environments and of the catalogue, made and published without node."""

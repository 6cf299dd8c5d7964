"""What tests share: servers, wheels and workspaces that they make themselves."""

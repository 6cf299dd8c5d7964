"""Downloads, and the content-addressed cache they land in."""

"""Views by domain: thin, they call the other rooms and render."""

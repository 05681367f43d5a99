"""Templates of paths: by shape, learned for each host, and made by hand."""

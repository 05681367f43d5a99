"""What the node's container runtimes know: names, images, labels, pods. Read-only, optional."""

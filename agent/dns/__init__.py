"""The DNS audit: which names a node's processes ask for, and what they are told."""

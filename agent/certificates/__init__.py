"""When certificates of servers that the node's processes talk to expire. Off by default."""

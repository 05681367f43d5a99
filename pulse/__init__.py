"""Pulse: traffic events from the door to the page, and the usage counted from them."""

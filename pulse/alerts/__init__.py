"""Rules over what is seen, and telling people: exactly once, and again when it is over."""

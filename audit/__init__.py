"""The journal: who did what, on which object, with which outcome."""

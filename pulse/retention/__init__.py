"""How long data is kept, what may not be removed, and removing the rest."""

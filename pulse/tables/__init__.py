"""Tables of single concerns; ``pulse.models`` gathers them for Django."""

"""Coverage-guided fuzzing of parsers that read what others wrote."""

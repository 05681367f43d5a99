"""The project: settings, doors, processes and the ``qcloud`` command."""

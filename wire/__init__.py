"""What agent, scanner and platform must agree on, and nothing else.

Pure Python: no Django, no files, no sockets. Names on the wire are camelCase, as
Qtap's events have them; ``docs/wire/`` describes the protocol for other languages.
"""

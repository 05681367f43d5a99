"""Where events and payload objects go: interfaces, and the stores of each type.

A store is chosen by its id in the configuration. ``registry`` opens them; nothing else of
the agent knows a type of store by name.
"""

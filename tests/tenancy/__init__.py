"""The tenant walls, tried from the outside.

``test_tables``: every table, command and tier, over raw connections of the application's
role. ``test_roles``: what that role cannot become or do. ``test_trees``: random account
trees through the rooms' own functions. Walls seen over HTTP belong into ``test_http``.
"""

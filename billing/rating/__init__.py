"""Rating: quantities and prices in, charged lines out.

Pure functions over exact numbers. Nothing here knows a database, a clock or a float.
"""

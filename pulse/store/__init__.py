"""The only place with SQL on events. Everything here takes a scope or says that it is the system.

The same statements run on the embedded engine and on a ClickHouse server.
"""

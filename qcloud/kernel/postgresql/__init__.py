"""Django's PostgreSQL engine, with the login that holds at the moment of connecting."""

"""HashiCorp Vault: the connection, who may do what there, and the platform's own secrets.

Nothing here needs Django: settings are read through it before Django is set up. Only paths
that Vault's open edition has had since 1.11 are used, so that OpenBao answers the same.
"""

"""What changes accounts, staff and sessions. Each function checks, changes and audits."""

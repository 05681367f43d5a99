"""Mail and webhooks, their templates and the log of what was delivered."""

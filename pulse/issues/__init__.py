"""What breaks, found by the platform itself: grouped, assigned, resolved, reopened."""

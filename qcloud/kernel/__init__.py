"""What every room stands on: tenancy, permissions, errors, ids, money, time, the outbox."""

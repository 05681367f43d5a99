"""The status server: liveness, readiness, Prometheus metrics."""

"""The embedded stack: PostgreSQL, the four services and Envoy on one machine, all installed from wheels."""

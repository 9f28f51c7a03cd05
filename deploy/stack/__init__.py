"""The embedded stack: PostgreSQL, the four services and Envoy on one machine, from wheels alone."""

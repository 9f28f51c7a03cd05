"""The configuration of Envoy, generated from the contracts. The gateway enforces their access rules."""

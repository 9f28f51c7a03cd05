"""Envoy's configuration, generated from the contracts: what an RPC declares, the gateway enforces."""

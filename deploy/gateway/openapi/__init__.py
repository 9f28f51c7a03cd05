"""The OpenAPI document, generated from the contracts: what the gateway speaks over HTTP, in JSON."""

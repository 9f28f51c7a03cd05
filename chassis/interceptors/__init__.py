"""The interceptor chain that every call passes: stages, the chain itself, and the decoding of requests."""

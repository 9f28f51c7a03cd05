"""Gateway, embedded stack, command line and manifests."""

"""Everything that runs Meno and is not Meno: the gateway, the local stack, images, manifests."""

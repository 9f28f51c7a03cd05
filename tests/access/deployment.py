"""The two paths to the services: through the gateway, and directly."""

import grpc

from tests.contracts.rpcs import Rpc


class Deployment:
    """A channel to the gateway, and channels that bypass it."""

    def __init__(self, gateway: grpc.aio.Channel, direct: dict[tuple[str, str], grpc.aio.Channel]) -> None:
        self.gateway = gateway
        self._direct = direct

    def direct(self, rpc: Rpc, peer: str = "gateway") -> grpc.aio.Channel:
        """Returns a channel to the service of an RPC, with the certificate of a peer."""
        return self._direct[service_of(rpc), peer]


def service_of(rpc: Rpc) -> str:
    """Returns the name of the service that implements an RPC."""
    context = rpc.name.split(".")[1]
    return "identity_service" if context == "access" else f"{context}_service"

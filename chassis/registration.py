"""Registers a gRPC service that one or several servicers implement."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor

from chassis import contracts
from chassis.interceptors.chain import Chain


@dataclass(frozen=True)
class ServiceRegistration:
    """A service of a contract, and the servicer method that implements each of its RPCs."""

    descriptor: ServiceDescriptor
    methods: Mapping[str, Callable[..., Any]]
    """RPC name to bound servicer method."""

    def add_to(self, server: grpc.aio.Server, chain: Chain) -> None:
        """Adds the handlers of the service, wrapped in the chain, to a server."""
        handlers = {
            method.name: chain.handler(method, self.methods[method.name])
            for method in contracts.methods(self.descriptor)
        }
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(self.descriptor.full_name, handlers),)
        )


def service(contract: ModuleType, *servicers: object) -> ServiceRegistration:
    """Registers the one service of a compiled contract file, composed from `servicers`.

    A servicer implements an RPC if it has a method of that name. Raises TypeError if an RPC is implemented by
    no servicer or by several, or if a servicer has a method with the name of an RPC that does not exist.
    """
    [descriptor] = contract.DESCRIPTOR.services_by_name.values()
    implementations: dict[str, list[object]] = {method.name: [] for method in descriptor.methods}
    for servicer in servicers:
        for name in _rpc_names(type(servicer)):
            if name not in implementations:
                raise TypeError(f"{type(servicer).__name__}.{name} is not an RPC of {descriptor.full_name}")
            implementations[name].append(servicer)
    methods = {}
    for name, implementing in implementations.items():
        if len(implementing) != 1:
            found = ", ".join(type(servicer).__name__ for servicer in implementing) or "none"
            raise TypeError(
                f"{descriptor.full_name}.{name} must be implemented by exactly one servicer, not by {found}"
            )
        methods[name] = getattr(implementing[0], name)
    return ServiceRegistration(descriptor, methods)


def _rpc_names(servicer: type[object]) -> set[str]:
    """Returns the names of the RPCs that a class implements; generated base classes implement none."""
    own = [cls for cls in servicer.__mro__ if not cls.__module__.endswith("_pb2_grpc")]
    return {name for cls in own for name in vars(cls) if name[0].isupper() and callable(vars(cls)[name])}

"""RPCs for services: clients cannot call them, and only the services that a grant names can."""

from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty

from chassis.certificates import CertificateAuthority
from chassis.tls import TlsCredentials
from deploy.stack.layout import SERVICES, Layout
from tests import local_stack
from tests.access import oracle, requests
from tests.access.calls import call
from tests.access.deployment import Deployment, service_of
from tests.access.test_matrix import RPCS
from tests.installation import Installation

SERVICE_RPCS = {name: rpc for name, rpc in RPCS.items() if oracle.AccessPolicy(rpc.grants).services}
ADMITTED = {"INVALID_ARGUMENT FIELD_INVALID", "OK"}
OPERATOR_METHODS = (
    "/grpc.health.v1.Health/Check",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
)


def test_the_rpcs_for_services_are_the_listed_ones() -> None:
    """A new RPC for services, or another service that may call one, requires a decision."""
    assert {
        name.rpartition(".")[2]: sorted(oracle.AccessPolicy(rpc.grants).services)
        for name, rpc in SERVICE_RPCS.items()
    } == {
        "AwardXp": ["session_service"],
        "BatchGetUsers": ["chat_service", "content_service", "session_service"],
        "RecordActivity": ["chat_service", "session_service"],
        "RecordAuditEntries": ["chat_service", "content_service", "session_service"],
        "ReportErasure": ["chat_service", "content_service", "session_service"],
        "ResolveModel": ["chat_service", "content_service", "session_service"],
        "WatchAccountEvents": ["chat_service", "content_service", "session_service"],
    }


@pytest.mark.parametrize("name", SERVICE_RPCS)
async def test_only_the_services_with_a_grant_are_admitted(deployment: Deployment, name: str) -> None:
    rpc = SERVICE_RPCS[name]
    valid = requests.create_valid(rpc.name, {})
    request = requests.create_invalid(valid, rpc.identity) or valid
    for peer in ("gateway", *SERVICES):
        outcome = await call(deployment.direct(rpc, peer), rpc, request, "")
        if peer in oracle.AccessPolicy(rpc.grants).services:
            assert str(outcome) in ADMITTED, peer
        else:
            assert outcome.status == oracle.status("ACCESS_DENIED"), peer


@pytest.mark.parametrize("name", SERVICE_RPCS)
async def test_clients_cannot_call_an_rpc_for_services(
    deployment: Deployment, installation: Installation, name: str
) -> None:
    rpc = SERVICE_RPCS[name]
    assert not oracle.AccessPolicy(rpc.grants).routed
    request = requests.create_valid(rpc.name, {})
    for token in ("", (await installation.create_admin()).tokens.access_token):
        routed = await call(deployment.gateway, rpc, request, token)
        assert (routed.status, routed.reached_service) == (oracle.status("ACCESS_DENIED"), False)
        direct = await call(deployment.direct(rpc), rpc, request, token)
        assert direct.status == oracle.status("ACCESS_DENIED")


@pytest.mark.parametrize("path", OPERATOR_METHODS)
async def test_health_and_reflection_are_not_on_the_public_port(deployment: Deployment, path: str) -> None:
    method: Any = deployment.gateway.unary_unary(path)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await method(Empty().SerializeToString())
    assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_rejects_clients_without_a_certificate_of_the_installation(
    layout: Layout, tmp_path: Path, service: str
) -> None:
    [rpc] = [
        rpc
        for name, rpc in RPCS.items()
        if name.endswith("DataRightsService.ExportUserData") and service_of(rpc) == service
    ]
    address = f"127.0.0.1:{local_stack.load_state(layout).services[service][0]}"
    CertificateAuthority().issue("gateway", tmp_path / "foreign")
    foreign = TlsCredentials(tmp_path / "foreign").channel_credentials()
    authority = (layout.tls("gateway") / "ca.pem").read_bytes()
    options = (("grpc.ssl_target_name_override", service),)
    for channel in (
        grpc.aio.insecure_channel(address),
        grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(authority), options),
        grpc.aio.secure_channel(address, foreign, options),
    ):
        async with channel:
            outcome = await call(channel, rpc, requests.create_valid(rpc.name, {}), "")
        assert outcome.code == "UNAVAILABLE"

"""What only services may call: closed from outside, and inside to every service but those it is for."""

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
from tests.access.conftest import Ways, serving
from tests.access.test_matrix import RPCS
from tests.installation import Installation

INSIDE = {name: rpc for name, rpc in RPCS.items() if oracle.Ways(rpc.grants).inside}
SERVED = {"INVALID_ARGUMENT FIELD_INVALID", "OK"}
OPERATORS = (
    "/grpc.health.v1.Health/Check",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
)


def test_these_are_the_rpcs_of_services() -> None:
    """Each of them is a decision, as is everybody who may call it."""
    assert {
        name.rpartition(".")[2]: sorted(oracle.Ways(rpc.grants).inside) for name, rpc in INSIDE.items()
    } == {
        "AwardXp": ["session_service"],
        "BatchGetUsers": ["chat_service", "content_service", "session_service"],
        "RecordActivity": ["chat_service", "session_service"],
        "RecordAuditEntries": ["chat_service", "content_service", "session_service"],
        "ReportErasure": ["chat_service", "content_service", "session_service"],
        "ResolveModel": ["chat_service", "content_service", "session_service"],
        "WatchAccountEvents": ["chat_service", "content_service", "session_service"],
    }


@pytest.mark.parametrize("name", INSIDE)
async def test_a_service_lets_in_the_services_that_it_is_for(ways: Ways, name: str) -> None:
    rpc = INSIDE[name]
    whole = requests.whole(rpc.name, {})
    request = requests.broken(whole, rpc.identity) or whole
    for peer in ("gateway", *SERVICES):
        outcome = await call(ways.straight(rpc, peer), rpc, request, "")
        if peer in oracle.Ways(rpc.grants).inside:
            assert str(outcome) in SERVED, peer
        else:
            assert outcome.status == oracle.status("ACCESS_DENIED"), peer


@pytest.mark.parametrize("name", INSIDE)
async def test_nobody_gets_there_from_outside(ways: Ways, installation: Installation, name: str) -> None:
    rpc = INSIDE[name]
    assert not oracle.Ways(rpc.grants).routed
    request = requests.whole(rpc.name, {})
    for token in ("", (await installation.create_admin()).tokens.access_token):
        through = await call(ways.gateway, rpc, request, token)
        assert (through.status, through.reached) == (oracle.status("ACCESS_DENIED"), False)
        straight = await call(ways.straight(rpc), rpc, request, token)
        assert straight.status == oracle.status("ACCESS_DENIED")


@pytest.mark.parametrize("path", OPERATORS)
async def test_what_operators_ask_is_not_on_the_public_port(ways: Ways, path: str) -> None:
    asked: Any = ways.gateway.unary_unary(path)
    with pytest.raises(grpc.aio.AioRpcError) as denied:
        await asked(Empty().SerializeToString())
    assert denied.value.code() == grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize("service", SERVICES)
async def test_without_a_certificate_of_the_house_nobody_speaks_to_a_service(
    layout: Layout, tmp_path: Path, service: str
) -> None:
    [rpc] = [
        rpc
        for name, rpc in RPCS.items()
        if name.endswith("DataRightsService.ExportUserData") and serving(rpc) == service
    ]
    address = f"127.0.0.1:{local_stack.load_state(layout).services[service][0]}"
    CertificateAuthority().issue("gateway", tmp_path / "foreign")
    foreign = TlsCredentials(tmp_path / "foreign").channel_credentials()
    env = (layout.tls("gateway") / "ca.pem").read_bytes()
    options = (("grpc.ssl_target_name_override", service),)
    for channel in (
        grpc.aio.insecure_channel(address),
        grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(env), options),
        grpc.aio.secure_channel(address, foreign, options),
    ):
        async with channel:
            outcome = await call(channel, rpc, requests.whole(rpc.name, {}), "")
        assert outcome.code == "UNAVAILABLE"

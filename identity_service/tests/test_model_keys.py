"""A key is sent only to its backend. No response, log line or audit entry contains it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from identity_service.tests.administrator import Models, update_backend
from identity_service.tests.conftest import Identity
from identity_service.tests.provider import Provider, provider
from identity_service.tests.test_component_models import resolve
from meno.access.v1.audit_service_pb2 import ListAuditEntriesRequest
from meno.identity.v1 import admin_service_pb2 as admin

KEY = "sk-the-key-of-this-test"


@pytest_asyncio.fixture
async def models(identity: Identity) -> Models:
    return Models(identity, await identity.sign_up_admin())


@pytest_asyncio.fixture
async def backend() -> AsyncIterator[Provider]:
    async with provider() as running:
        yield running


@pytest.fixture
def more_settings(backend: Provider, tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "openai").write_text(KEY)
    return {"private_model_hosts": frozenset({backend.host}), "key_directory": tmp_path / "keys"}


async def test_a_key_is_sent_only_to_its_backend(
    models: Models,
    identity: Identity,
    backend: Provider,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SOME_KEY", KEY)
    caplog.set_level("INFO")
    replies: list[Any] = []
    address = f"http://{backend.host}/v1"
    created = await models.create_backend(base_url=address, key_reference="env:SOME_KEY")
    by_file = await models.create_backend("By file", base_url=address, key_reference="file:openai")
    backend.lists({"data": [{"id": "gpt-5.2"}, {"id": KEY}]})
    for item in (created, by_file):
        test = admin.TestModelBackendRequest(backend_id=item.backend_id)
        tested = await models.call("TestModelBackend", test)
        assert (tested.reachable, [*tested.model_names]) == (True, ["gpt-5.2"])
        assert f"authorization: bearer {KEY}" in backend.asked[-1]
        replies.append(tested)
    for backend.status in (401, 302, 500):
        backend.body, backend.headers = KEY.encode(), f"location: /{KEY}\r\nwww-authenticate: {KEY}\r\n"
        replies.append(await models.call("TestModelBackend", test))
        assert not replies[-1].reachable
        assert replies[-1].problem
    await models.assign(await models.create_model(created), "TUTOR")
    change = update_backend(created, name="Renamed")
    replies += [created, by_file, await models.call("UpdateModelBackend", change), await resolve(identity)]
    replies.append(await models.call("ListModelBackends", admin.ListModelBackendsRequest()))
    await models.list_audited()
    audit = await identity.audit.ListAuditEntries(ListAuditEntriesRequest(), **models.person.auth)
    captured = capfd.readouterr()
    for text in (*map(str, replies), str(audit), caplog.text, captured.out, captured.err):
        assert KEY not in text


async def test_an_unreachable_backend_is_reported_in_the_response(models: Models, backend: Provider) -> None:
    created = await models.create_backend(base_url=f"http://{backend.host}/v1", key_reference="env:NOT_THERE")
    request = admin.TestModelBackendRequest(backend_id=created.backend_id)
    tested = await models.call("TestModelBackend", request)
    assert (tested.reachable, [*tested.model_names]) == (False, [])
    assert "environment variable does not exist" in tested.problem
    assert backend.asked == []

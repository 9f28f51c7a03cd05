"""A key is used where it lies, and is in no reply, no log and no audit entry."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from identity_service.tests.administrator import Models
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


async def test_the_key_leaves_for_its_backend_alone(
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
    made = await models.backend(base_url=address, key_reference="env:SOME_KEY")
    by_file = await models.backend("By file", base_url=address, key_reference="file:openai")
    backend.lists({"data": [{"id": "gpt-5.2"}, {"id": KEY}]})
    for one in (made, by_file):
        asking = admin.TestModelBackendRequest(backend_id=one.backend_id)
        tested = await models.call("TestModelBackend", asking)
        assert (tested.reachable, [*tested.model_names]) == (True, ["gpt-5.2"])
        assert f"authorization: bearer {KEY}" in backend.asked[-1]
        replies.append(tested)
    for backend.status in (401, 302, 500):
        backend.body, backend.headers = KEY.encode(), f"location: /{KEY}\r\nwww-authenticate: {KEY}\r\n"
        replies.append(await models.call("TestModelBackend", asking))
        assert not replies[-1].reachable
        assert replies[-1].problem
    await models.use(await models.model(made), "TUTOR")
    change = admin.UpdateModelBackendRequest(backend_id=made.backend_id, name="Renamed")
    replies += [made, by_file, await models.call("UpdateModelBackend", change), await resolve(identity)]
    replies.append(await models.call("ListModelBackends", admin.ListModelBackendsRequest()))
    await models.audited()
    audit = await identity.audit.ListAuditEntries(ListAuditEntriesRequest(), **models.person.auth)
    said = capfd.readouterr()
    for text in (*map(str, replies), str(audit), caplog.text, said.out, said.err):
        assert KEY not in text


async def test_a_backend_that_cannot_be_reached_is_an_answer(models: Models, backend: Provider) -> None:
    made = await models.backend(base_url=f"http://{backend.host}/v1", key_reference="env:NOT_THERE")
    request = admin.TestModelBackendRequest(backend_id=made.backend_id)
    tested = await models.call("TestModelBackend", request)
    assert (tested.reachable, [*tested.model_names]) == (False, [])
    assert "no such variable" in tested.problem
    assert backend.asked == []

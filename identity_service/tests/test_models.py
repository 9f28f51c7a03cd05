"""Administrators' model backends and models, over gRPC."""

import uuid
from typing import Any

import psycopg
import pytest_asyncio
from google.protobuf.empty_pb2 import Empty
from google.rpc.error_details_pb2 import BadRequest

from chassis.testing import refused
from identity_service.tests.administrator import OPENAI, Models, outcomes
from identity_service.tests.conftest import Identity
from meno.identity.v1 import admin_service_pb2 as admin

FAULTY: tuple[tuple[str, dict[str, Any]], ...] = (
    ("base_url", {"base_url": "https://127.0.0.1/v1"}),
    ("base_url", {"base_url": "http://models.example/v1"}),
    ("base_url", {"base_url": "https://user:key@models.example"}),
    ("key_reference", {"key_reference": "env:MENO_SECRET"}),
    ("key_reference", {"key_reference": "file:/etc/shadow"}),
    ("key_reference", {"key_reference": "sk-the-key-itself"}),
    ("name", {"name": " "}),
)
TIMES = 10


@pytest_asyncio.fixture
async def models(identity: Identity) -> Models:
    return Models(identity, await identity.sign_up_admin())


async def test_a_backend_is_as_it_was_made_and_changed(models: Models) -> None:
    made = await models.backend(base_url="https://models.example/v1", key_reference="env:SOME_KEY")
    assert (made.name, made.provider, made.enabled) == ("OpenAI", OPENAI, True)
    assert (made.base_url, made.key_reference) == ("https://models.example/v1", "env:SOME_KEY")
    of = {"backend_id": made.backend_id}
    assert await models.call("GetModelBackend", admin.GetModelBackendRequest(**of)) == made
    change = admin.UpdateModelBackendRequest(**of, enabled=False, key_reference="", etag=made.etag)
    changed = await models.call("UpdateModelBackend", change)
    assert (changed.enabled, changed.key_reference, changed.base_url) == (False, "", made.base_url)
    assert changed.etag != made.etag
    stale = await refused(models.call("UpdateModelBackend", change))
    assert (stale.code, stale.reason, stale.metadata) == ("ABORTED", "ETAG_MISMATCH", {"etag": changed.etag})
    delete = admin.DeleteModelBackendRequest(**of, etag=made.etag)
    assert (await refused(models.call("DeleteModelBackend", delete))).reason == "ETAG_MISMATCH"
    delete.etag = changed.etag
    assert await models.call("DeleteModelBackend", delete) == Empty()
    gone = await refused(models.call("DeleteModelBackend", delete))
    assert (gone.code, gone.reason, gone.metadata) == ("NOT_FOUND", "MODEL_BACKEND_NOT_FOUND", of)
    assert await models.audited() == [
        (f"MODEL_BACKEND_{what}", made.backend_id, {}) for what in ("DELETED", "UPDATED", "CREATED")
    ]


async def test_a_model_is_as_it_was_made_and_changed(models: Models) -> None:
    made = await models.model(await models.backend())
    assert (made.model_name, made.temperature, made.max_output) == ("gpt-5.2", 0.2, 2048)
    of = {"model_id": made.model_id}
    assert await models.call("GetModel", admin.GetModelRequest(**of)) == made
    change = admin.UpdateModelRequest(**of, temperature=0, max_output=5, etag=made.etag)
    changed = await models.call("UpdateModel", change)
    assert (changed.model_name, changed.temperature, changed.max_output) == ("gpt-5.2", 0, 5)
    assert (await refused(models.call("UpdateModel", change))).reason == "ETAG_MISMATCH"
    delete = admin.DeleteModelRequest(**of, etag=made.etag)
    assert (await refused(models.call("DeleteModel", delete))).reason == "ETAG_MISMATCH"
    delete.etag = changed.etag
    assert await models.call("DeleteModel", delete) == Empty()
    gone = await refused(models.call("GetModel", admin.GetModelRequest(**of)))
    assert (gone.code, gone.reason, gone.metadata) == ("NOT_FOUND", "MODEL_NOT_FOUND", of)
    assert [action for action, resource, _ in await models.audited() if resource == made.model_id] == [
        f"MODEL_{what}" for what in ("DELETED", "UPDATED", "CREATED")
    ]


async def test_zero_is_a_temperature_and_nothing_said_is_not(models: Models) -> None:
    backend = await models.backend(name="Mine", provider=admin.MODEL_PROVIDER_BUILTIN)
    made = [
        await models.model(backend, "cold", temperature=0, max_output=0),
        await models.model(backend, "usual"),
        await models.model(backend, "hot", temperature=2, max_output=1_000_000),
    ]
    assert [(one.temperature, one.max_output) for one in made] == [(0, 2048), (0.2, 2048), (2, 1_000_000)]


async def test_lists_are_in_the_order_of_adding_whatever_the_pages(models: Models) -> None:
    backends = [await models.backend(f"Backend {number}") for number in range(4)]
    added = [await models.model(backends[0], f"model {number}") for number in range(4)]
    for size in (0, 2):
        listing = admin.ListModelBackendsRequest(page_size=size)
        assert (await models.every("ListModelBackends", listing, "backends"))[1:] == backends
        request = admin.ListModelsRequest(page_size=size)
        assert (await models.every("ListModels", request, "models"))[2:] == added


async def test_what_is_not_there_is_told(models: Models) -> None:
    nowhere = str(uuid.uuid4())
    for rpc in ("GetModelBackend", "UpdateModelBackend", "DeleteModelBackend", "TestModelBackend"):
        denied = await refused(models.call(rpc, getattr(admin, f"{rpc}Request")(backend_id=nowhere)))
        assert (denied.reason, denied.metadata) == ("MODEL_BACKEND_NOT_FOUND", {"backend_id": nowhere})
    for rpc in ("GetModel", "UpdateModel", "DeleteModel"):
        denied = await refused(models.call(rpc, getattr(admin, f"{rpc}Request")(model_id=nowhere)))
        assert (denied.reason, denied.metadata) == ("MODEL_NOT_FOUND", {"model_id": nowhere})
    denied = await refused(models.model(admin.ModelBackend(backend_id=nowhere)))
    assert denied.reason == "MODEL_BACKEND_NOT_FOUND"
    denied = await refused(models.use(admin.Model(model_id=nowhere)))
    assert denied.reason == "MODEL_NOT_FOUND"


async def test_what_a_backend_may_not_be_is_refused_when_made_and_when_changed(models: Models) -> None:
    made = await models.backend()
    for field, fields in FAULTY:
        change = admin.UpdateModelBackendRequest(backend_id=made.backend_id, **fields)
        new = models.backend(**{"name": "Other", **fields})
        for attempt in (new, models.call("UpdateModelBackend", change)):
            denied = await refused(attempt)
            assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "FIELD_INVALID")
            assert [one.field for one in denied.detail(BadRequest).field_violations] == [field]
            assert "the-key-itself" not in str(denied.status)
    assert (
        await models.call("GetModelBackend", admin.GetModelBackendRequest(backend_id=made.backend_id)) == made
    )


async def test_a_backend_that_is_allowed_no_more_can_still_be_switched_off(models: Models) -> None:
    made = await models.backend()
    with psycopg.connect(models.identity.database_url) as connection:
        connection.execute(
            "UPDATE model_backends SET base_url = 'http://gpu:8000/v1' WHERE provider = 'OPENAI'"
        )
    change = admin.UpdateModelBackendRequest(backend_id=made.backend_id, enabled=False)
    assert not (await models.call("UpdateModelBackend", change)).enabled


async def test_a_name_is_given_once_however_many_ask_for_it_at_once(models: Models) -> None:
    made, denials = await outcomes(*(models.backend("Taken") for _ in range(TIMES)))
    assert (len(made), denials) == (1, ["NAME_TAKEN"] * (TIMES - 1))
    others = [await models.backend(f"Other {number}") for number in range(3)]
    changes = [admin.UpdateModelBackendRequest(backend_id=one.backend_id, name="Wanted") for one in others]
    changed, denials = await outcomes(*(models.call("UpdateModelBackend", change) for change in changes))
    assert (len(changed), denials) == (1, ["NAME_TAKEN"] * 2)
    denied = await refused(models.backend("Taken"))
    assert (denied.code, denied.metadata) == ("ALREADY_EXISTS", {"name": "Taken"})


async def test_a_model_has_its_name_at_its_backend_alone(models: Models) -> None:
    here, there = await models.backend("Here"), await models.backend("There")
    made, denials = await outcomes(*(models.model(here) for _ in range(TIMES)))
    assert (len(made), denials) == (1, ["NAME_TAKEN"] * (TIMES - 1))
    other = await models.model(here, "other")
    await models.model(there)
    rename = admin.UpdateModelRequest(model_id=other.model_id, model_name="gpt-5.2")
    denied = await refused(models.call("UpdateModel", rename))
    assert (denied.reason, denied.metadata) == ("NAME_TAKEN", {"name": "gpt-5.2"})
    same = admin.UpdateModelRequest(model_id=other.model_id, model_name="other")
    assert (await models.call("UpdateModel", same)).model_name == "other"


async def test_what_is_in_use_stays(models: Models) -> None:
    backend = await models.backend()
    model = await models.model(backend)
    denied = await refused(
        models.call("DeleteModelBackend", admin.DeleteModelBackendRequest(backend_id=backend.backend_id))
    )
    assert (denied.code, denied.reason) == ("FAILED_PRECONDITION", "MODEL_BACKEND_IN_USE")
    assert denied.metadata == {"backend_id": backend.backend_id}
    await models.use(model)
    denied = await refused(models.call("DeleteModel", admin.DeleteModelRequest(model_id=model.model_id)))
    assert (denied.code, denied.reason) == ("FAILED_PRECONDITION", "MODEL_IN_USE")
    assert denied.metadata == {"model_id": model.model_id}


async def test_of_deleting_and_using_at_once_one_is_refused(models: Models) -> None:
    backend = await models.backend()
    for number in range(TIMES):
        model = await models.model(backend, f"model {number}")
        delete = models.call("DeleteModel", admin.DeleteModelRequest(model_id=model.model_id))
        calls = [models.use(model), delete]
        done, denials = await outcomes(*(calls if number % 2 else reversed(calls)))
        assert (len(done), len(denials)) == (1, 1)
        assert denials[0] == ("MODEL_NOT_FOUND" if done == [Empty()] else "MODEL_IN_USE")


async def test_of_deleting_a_backend_and_adding_a_model_at_once_one_is_refused(models: Models) -> None:
    for number in range(TIMES):
        backend = await models.backend(f"Backend {number}")
        delete = models.call(
            "DeleteModelBackend", admin.DeleteModelBackendRequest(backend_id=backend.backend_id)
        )
        calls = [models.model(backend), delete]
        done, denials = await outcomes(*(calls if number % 2 else reversed(calls)))
        assert (len(done), len(denials)) == (1, 1)
        assert denials[0] == ("MODEL_BACKEND_NOT_FOUND" if done == [Empty()] else "MODEL_BACKEND_IN_USE")


async def test_of_changes_under_one_etag_one_is_made(models: Models) -> None:
    model = await models.model(await models.backend())
    changes = [
        admin.UpdateModelRequest(model_id=model.model_id, max_output=number, etag=model.etag)
        for number in range(1, TIMES)
    ]
    changed, denials = await outcomes(*(models.call("UpdateModel", change) for change in changes))
    assert (len(changed), denials) == (1, ["ETAG_MISMATCH"] * (TIMES - 2))


async def test_only_administrators_look_after_models(identity: Identity) -> None:
    student = await identity.sign_up()
    for rpc in ("ListModelBackends", "ListModels", "ListComponentModels"):
        request = getattr(admin, f"{rpc}Request")()
        assert (
            await refused(getattr(identity.admin, rpc)(request, **student.auth))
        ).reason == "ACCESS_DENIED"

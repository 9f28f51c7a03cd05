"""Model backends and models, over gRPC."""

import uuid
from typing import Any

import pytest_asyncio
from google.rpc.error_details_pb2 import BadRequest

from chassis.testing import expect_error
from identity_service.tests.administrator import OPENAI, Models, outcomes, update_backend, update_model
from identity_service.tests.conftest import Identity
from meno.identity.v1 import admin_service_pb2 as admin
from meno.identity.v1 import resources_pb2 as resources

INVALID_FIELDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("base_url", {"base_url": "https://127.0.0.1/v1"}),
    ("base_url", {"base_url": "http://models.example/v1"}),
    ("base_url", {"base_url": "https://user:key@models.example"}),
    ("key_reference", {"key_reference": "env:MENO_SECRET"}),
    ("key_reference", {"key_reference": "file:/etc/shadow"}),
    ("key_reference", {"key_reference": "sk-the-key-itself"}),
    ("name", {"name": " "}),
)
ATTEMPTS = 10


def request_for(rpc: str, **ids: str) -> Any:
    """Returns a minimal request that passes validation."""
    resources_to_set: dict[str, Any] = {
        "UpdateModelBackend": {"backend": {"enabled": True}},
        "UpdateModel": {"model": {"max_output_tokens": 100}},
    }
    return getattr(admin, f"{rpc}Request")(**ids, **resources_to_set.get(rpc, {}))


@pytest_asyncio.fixture
async def models(identity: Identity) -> Models:
    return Models(identity, await identity.sign_up_admin())


async def test_a_backend_can_be_created_updated_and_deleted(models: Models) -> None:
    created = await models.create_backend(base_url="https://models.example/v1", key_reference="env:SOME_KEY")
    assert (created.name, created.provider, created.enabled) == ("OpenAI", OPENAI, True)
    assert (created.base_url, created.key_reference) == ("https://models.example/v1", "env:SOME_KEY")
    of = {"backend_id": created.backend_id}
    assert await models.call("GetModelBackend", admin.GetModelBackendRequest(**of)) == created
    change = update_backend(created, etag=created.etag, enabled=False, key_reference="")
    changed = await models.call("UpdateModelBackend", change)
    assert (changed.enabled, changed.key_reference, changed.base_url) == (False, "", created.base_url)
    assert changed.etag != created.etag
    stale = await expect_error(models.call("UpdateModelBackend", change))
    assert (stale.code, stale.reason, stale.metadata) == (
        "ABORTED",
        "ETAG_MISMATCH",
        {"current": changed.etag},
    )
    delete = admin.DeleteModelBackendRequest(**of, etag=created.etag)
    assert (await expect_error(models.call("DeleteModelBackend", delete))).reason == "ETAG_MISMATCH"
    delete.etag = changed.etag
    await models.call("DeleteModelBackend", delete)
    gone = await expect_error(models.call("GetModelBackend", admin.GetModelBackendRequest(**of)))
    assert (gone.code, gone.reason, gone.metadata) == ("NOT_FOUND", "MODEL_BACKEND_NOT_FOUND", of)
    assert await models.list_audited() == [
        (f"MODEL_BACKEND_{what}", created.backend_id, {}) for what in ("DELETED", "UPDATED", "CREATED")
    ]


async def test_a_model_can_be_created_updated_and_deleted(models: Models) -> None:
    created = await models.create_model(await models.create_backend())
    assert (created.model_name, created.temperature, created.max_output_tokens) == ("gpt-5.2", 0.2, 2048)
    of = {"model_id": created.model_id}
    assert await models.call("GetModel", admin.GetModelRequest(**of)) == created
    change = update_model(created, etag=created.etag, temperature=0, max_output_tokens=5)
    changed = await models.call("UpdateModel", change)
    assert (changed.model_name, changed.temperature, changed.max_output_tokens) == ("gpt-5.2", 0, 5)
    assert (await expect_error(models.call("UpdateModel", change))).reason == "ETAG_MISMATCH"
    delete = admin.DeleteModelRequest(**of, etag=created.etag)
    assert (await expect_error(models.call("DeleteModel", delete))).reason == "ETAG_MISMATCH"
    delete.etag = changed.etag
    await models.call("DeleteModel", delete)
    gone = await expect_error(models.call("GetModel", admin.GetModelRequest(**of)))
    assert (gone.code, gone.reason, gone.metadata) == ("NOT_FOUND", "MODEL_NOT_FOUND", of)
    assert [
        action for action, resource, _ in await models.list_audited() if resource == created.model_id
    ] == [f"MODEL_{what}" for what in ("DELETED", "UPDATED", "CREATED")]


async def test_a_temperature_of_zero_is_stored_and_a_missing_one_gets_the_default(models: Models) -> None:
    backend = await models.create_backend(name="Built-in", provider=resources.MODEL_PROVIDER_BUILTIN)
    created = [
        await models.create_model(backend, "cold", temperature=0, max_output_tokens=0),
        await models.create_model(backend, "usual"),
        await models.create_model(backend, "hot", temperature=2, max_output_tokens=1_000_000),
    ]
    assert [(item.temperature, item.max_output_tokens) for item in created] == [
        (0, 2048),
        (0.2, 2048),
        (2, 1_000_000),
    ]


async def test_lists_are_in_order_of_creation_for_all_page_sizes(models: Models) -> None:
    backends = [await models.create_backend(f"Backend {number}") for number in range(4)]
    added = [await models.create_model(backends[0], f"model {number}") for number in range(4)]
    for size in (0, 2):
        listing = admin.ListModelBackendsRequest(page_size=size)
        assert (await models.list_all("ListModelBackends", listing, "backends"))[1:] == backends
        request = admin.ListModelsRequest(page_size=size)
        assert (await models.list_all("ListModels", request, "models"))[2:] == added


async def test_missing_backends_and_models_are_reported(models: Models) -> None:
    missing = str(uuid.uuid4())
    for rpc in (
        *("GetModelBackend", "UpdateModelBackend", "DeleteModelBackend"),
        *("UndeleteModelBackend", "TestModelBackend"),
    ):
        denied = await expect_error(models.call(rpc, request_for(rpc, backend_id=missing)))
        assert (denied.reason, denied.metadata) == ("MODEL_BACKEND_NOT_FOUND", {"backend_id": missing})
    for rpc in ("GetModel", "UpdateModel", "DeleteModel", "UndeleteModel"):
        denied = await expect_error(models.call(rpc, request_for(rpc, model_id=missing)))
        assert (denied.reason, denied.metadata) == ("MODEL_NOT_FOUND", {"model_id": missing})
    denied = await expect_error(models.create_model(resources.ModelBackend(backend_id=missing)))
    assert denied.reason == "MODEL_BACKEND_NOT_FOUND"
    denied = await expect_error(models.assign(resources.Model(model_id=missing)))
    assert denied.reason == "MODEL_NOT_FOUND"


async def test_invalid_backend_fields_are_refused_on_create_and_update(models: Models) -> None:
    created = await models.create_backend()
    for field, fields in INVALID_FIELDS:
        change = update_backend(created, **fields)
        new = models.create_backend(**{"name": "Other", **fields})
        for path, call in ((field, new), (f"backend.{field}", models.call("UpdateModelBackend", change))):
            denied = await expect_error(call)
            assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "FIELD_INVALID")
            assert [item.field for item in denied.detail(BadRequest).field_violations] == [path]
            assert "the-key-itself" not in str(denied.status)
    assert (
        await models.call("GetModelBackend", admin.GetModelBackendRequest(backend_id=created.backend_id))
        == created
    )


async def test_a_backend_that_violates_a_later_policy_can_still_be_disabled(models: Models) -> None:
    created = await models.create_backend()
    models.identity.execute_sql(
        "UPDATE model_backends SET base_url = 'http://gpu:8000/v1' WHERE provider = 'openai'"
    )
    change = update_backend(created, enabled=False)
    assert not (await models.call("UpdateModelBackend", change)).enabled


async def test_of_concurrent_requests_for_a_backend_name_one_succeeds(models: Models) -> None:
    created, denials = await outcomes(*(models.create_backend("Taken") for _ in range(ATTEMPTS)))
    assert (len(created), denials) == (1, ["NAME_TAKEN"] * (ATTEMPTS - 1))
    others = [await models.create_backend(f"Other {number}") for number in range(3)]
    changes = [update_backend(item, name="Wanted") for item in others]
    changed, denials = await outcomes(*(models.call("UpdateModelBackend", change) for change in changes))
    assert (len(changed), denials) == (1, ["NAME_TAKEN"] * 2)
    denied = await expect_error(models.create_backend("Taken"))
    assert (denied.code, denied.metadata) == ("ALREADY_EXISTS", {"name": "Taken"})


async def test_a_model_name_is_unique_within_its_backend(models: Models) -> None:
    here, there = await models.create_backend("Here"), await models.create_backend("There")
    created, denials = await outcomes(*(models.create_model(here) for _ in range(ATTEMPTS)))
    assert (len(created), denials) == (1, ["NAME_TAKEN"] * (ATTEMPTS - 1))
    other = await models.create_model(here, "other")
    await models.create_model(there)
    rename = update_model(other, model_name="gpt-5.2")
    denied = await expect_error(models.call("UpdateModel", rename))
    assert (denied.reason, denied.metadata) == ("NAME_TAKEN", {"name": "gpt-5.2"})
    same = update_model(other, model_name="other")
    assert (await models.call("UpdateModel", same)).model_name == "other"


async def test_used_backends_and_models_cannot_be_deleted(models: Models) -> None:
    backend = await models.create_backend()
    model = await models.create_model(backend)
    denied = await expect_error(models.delete_backend(backend))
    assert (denied.code, denied.reason) == ("FAILED_PRECONDITION", "MODEL_BACKEND_IN_USE")
    assert denied.metadata == {"backend_id": backend.backend_id}
    await models.assign(model)
    denied = await expect_error(models.delete_model(model))
    assert (denied.code, denied.reason) == ("FAILED_PRECONDITION", "MODEL_IN_USE")
    assert denied.metadata == {"model_id": model.model_id}


async def test_of_concurrent_deletion_and_assignment_one_is_refused(models: Models) -> None:
    backend = await models.create_backend()
    for number in range(ATTEMPTS):
        model = await models.create_model(backend, f"model {number}")
        calls = [models.assign(model), models.delete_model(model)]
        done, denials = await outcomes(*(calls if number % 2 else reversed(calls)))
        assert (len(done), len(denials)) == (1, 1)
        deleted = isinstance(done[0], resources.Model)
        assert denials[0] == ("MODEL_NOT_FOUND" if deleted else "MODEL_IN_USE")


async def test_of_concurrent_backend_deletion_and_model_creation_one_is_refused(models: Models) -> None:
    for number in range(ATTEMPTS):
        backend = await models.create_backend(f"Backend {number}")
        calls = [models.create_model(backend), models.delete_backend(backend)]
        done, denials = await outcomes(*(calls if number % 2 else reversed(calls)))
        assert (len(done), len(denials)) == (1, 1)
        deleted = isinstance(done[0], resources.ModelBackend)
        assert denials[0] == ("MODEL_BACKEND_NOT_FOUND" if deleted else "MODEL_BACKEND_IN_USE")


async def test_of_concurrent_updates_with_one_etag_one_succeeds(models: Models) -> None:
    model = await models.create_model(await models.create_backend())
    changes = [
        update_model(model, etag=model.etag, max_output_tokens=number) for number in range(1, ATTEMPTS)
    ]
    changed, denials = await outcomes(*(models.call("UpdateModel", change) for change in changes))
    assert (len(changed), denials) == (1, ["ETAG_MISMATCH"] * (ATTEMPTS - 2))


async def test_without_a_mask_an_update_changes_the_fields_that_are_set(models: Models) -> None:
    backend = await models.create_backend(base_url="https://models.example/v1")
    changes = resources.ModelBackend(name="Renamed", key_reference="env:SOME_KEY")
    update = admin.UpdateModelBackendRequest(backend_id=backend.backend_id, backend=changes)
    changed = await models.call("UpdateModelBackend", update)
    assert (changed.name, changed.key_reference) == ("Renamed", "env:SOME_KEY")
    assert (changed.base_url, changed.enabled) == (backend.base_url, True)


async def test_students_cannot_list_models(identity: Identity) -> None:
    student = await identity.sign_up()
    for rpc in ("ListModelBackends", "ListModels", "ListComponentModels"):
        request = getattr(admin, f"{rpc}Request")()
        assert (
            await expect_error(getattr(identity.admin, rpc)(request, **student.auth))
        ).reason == "ACCESS_DENIED"

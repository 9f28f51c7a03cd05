"""Deleted model backends and models: they are hidden, can be restored, and are purged."""

from typing import Any

import pytest_asyncio

from chassis.database import Database
from chassis.testing import expect_error
from identity_service.administration.config.reader import ConfigReader
from identity_service.administration.models import purging
from identity_service.tests.administrator import Models, outcomes, update_backend, update_model
from identity_service.tests.commands import run_command
from identity_service.tests.conftest import Identity
from meno.identity.v1 import admin_service_pb2 as admin
from meno.identity.v1 import resources_pb2 as resources

CONFIG = ConfigReader(signup_role="STUDENT", allowed_roles=())
DAY_SECONDS = 86_400
ATTEMPTS = 10


@pytest_asyncio.fixture
async def models(identity: Identity) -> Models:
    return Models(identity, await identity.sign_up_admin())


async def list_backends(models: Models, *, show_deleted: bool) -> list[resources.ModelBackend]:
    """Returns the backends that the test has created."""
    request = admin.ListModelBackendsRequest(page_size=2, show_deleted=show_deleted)
    return (await models.list_all("ListModelBackends", request, "backends"))[1:]


async def list_models(models: Models, *, show_deleted: bool) -> list[resources.Model]:
    """Returns the models that the test has created."""
    request = admin.ListModelsRequest(page_size=2, show_deleted=show_deleted)
    return (await models.list_all("ListModels", request, "models"))[2:]


def age_deletion(models: Models, table: str, days: int, resource_id: str) -> None:
    """Sets the time of a deletion to this number of days ago."""
    key = "backend_id" if table == "model_backends" else "model_id"
    models.identity.execute_sql(
        f"UPDATE {table} SET deleted_at = now() - %s * interval '1 day' WHERE {key} = %s", days, resource_id
    )


async def actions_of(models: Models, resource_id: str) -> list[str]:
    """Returns the audited actions on a resource, oldest first."""
    audited = await models.list_audited()
    return [action for action, resource, _ in reversed(audited) if resource == resource_id]


async def test_a_deleted_backend_is_hidden_until_it_is_restored_unchanged(models: Models) -> None:
    created = await models.create_backend(base_url="https://models.example/v1", key_reference="env:SOME_KEY")
    deleted = await models.delete_backend(created)
    assert deleted.purge_time.seconds - deleted.delete_time.seconds == 30 * DAY_SECONDS
    assert await models.delete_backend(created) == deleted
    of: dict[str, Any] = {"backend_id": created.backend_id}
    for attempt in (
        models.call("GetModelBackend", admin.GetModelBackendRequest(**of)),
        models.call("TestModelBackend", admin.TestModelBackendRequest(**of)),
        models.call("UpdateModelBackend", update_backend(created, enabled=False)),
        models.create_model(created),
    ):
        assert (await expect_error(attempt)).reason == "MODEL_BACKEND_NOT_FOUND"
    assert await list_backends(models, show_deleted=False) == []
    assert await list_backends(models, show_deleted=True) == [deleted]

    restored = await models.undelete_backend(created)
    assert not restored.HasField("delete_time")
    assert not restored.HasField("purge_time")
    assert (restored.name, restored.base_url, restored.key_reference, restored.enabled) == (
        *("OpenAI", "https://models.example/v1", "env:SOME_KEY"),
        True,
    )
    assert restored.etag not in (created.etag, deleted.etag)
    assert await models.undelete_backend(created) == restored
    assert await list_backends(models, show_deleted=False) == [restored]
    assert await actions_of(models, created.backend_id) == [
        f"MODEL_BACKEND_{change}" for change in ("CREATED", "DELETED", "UNDELETED")
    ]


async def test_a_deleted_model_is_hidden_until_it_is_restored_unchanged(models: Models) -> None:
    created = await models.create_model(await models.create_backend(), temperature=1, max_output_tokens=7)
    deleted = await models.delete_model(created)
    assert deleted.purge_time.seconds - deleted.delete_time.seconds == 30 * DAY_SECONDS
    assert await models.delete_model(created) == deleted
    for attempt in (
        models.call("GetModel", admin.GetModelRequest(model_id=created.model_id)),
        models.call("UpdateModel", update_model(created, temperature=0)),
        models.assign(created),
    ):
        assert (await expect_error(attempt)).reason == "MODEL_NOT_FOUND"
    assert await list_models(models, show_deleted=False) == []
    assert await list_models(models, show_deleted=True) == [deleted]

    restored = await models.undelete_model(created)
    assert not restored.HasField("delete_time")
    assert not restored.HasField("purge_time")
    assert (restored.model_name, restored.temperature, restored.max_output_tokens) == ("gpt-5.2", 1, 7)
    assert await models.undelete_model(created) == restored
    assert (await models.assign(created)).model_id == created.model_id
    assert await actions_of(models, created.model_id) == [
        *(f"MODEL_{change}" for change in ("CREATED", "DELETED", "UNDELETED")),
        "COMPONENT_MODEL_SET",
    ]


async def test_a_name_that_was_taken_meanwhile_prevents_the_restoration(models: Models) -> None:
    backend = await models.create_backend()
    model = await models.create_model(backend)
    await models.delete_model(model)
    other = await models.create_model(backend)
    denied = await expect_error(models.undelete_model(model))
    assert (denied.code, denied.reason, denied.metadata) == (
        "ALREADY_EXISTS",
        "NAME_TAKEN",
        {"name": "gpt-5.2"},
    )
    assert denied.status.message == "This name is already in use. Rename the other model first."
    await models.call("UpdateModel", update_model(other, model_name="gpt-5.3"))
    await models.undelete_model(model)

    for one in (model, other):
        await models.delete_model(one)
    await models.delete_backend(backend)
    another = await models.create_backend()
    denied = await expect_error(models.undelete_backend(backend))
    assert (denied.code, denied.reason, denied.metadata) == (
        "ALREADY_EXISTS",
        "NAME_TAKEN",
        {"name": "OpenAI"},
    )
    assert denied.status.message == "This name is already in use. Rename the other backend first."
    await models.call("UpdateModelBackend", update_backend(another, name="Other"))
    assert (await models.undelete_backend(backend)).name == "OpenAI"


async def test_a_model_is_restored_only_after_its_backend(models: Models) -> None:
    backend = await models.create_backend()
    model = await models.create_model(backend)
    await models.delete_model(model)
    await models.delete_backend(backend)
    denied = await expect_error(models.undelete_model(model))
    assert (denied.code, denied.reason) == ("FAILED_PRECONDITION", "MODEL_BACKEND_DELETED")
    assert denied.metadata == {"backend_id": backend.backend_id}
    await models.undelete_backend(backend)
    assert await list_models(models, show_deleted=False) == []
    restored = await models.undelete_model(model)
    assert await list_models(models, show_deleted=False) == [restored]


async def test_of_concurrent_backend_deletion_and_model_restoration_one_is_refused(models: Models) -> None:
    for number in range(ATTEMPTS):
        backend = await models.create_backend(f"Backend {number}")
        model = await models.create_model(backend)
        await models.delete_model(model)
        calls = [models.undelete_model(model), models.delete_backend(backend)]
        done, denials = await outcomes(*(calls if number % 2 else reversed(calls)))
        assert (len(done), len(denials)) == (1, 1)
        deleted = isinstance(done[0], resources.ModelBackend)
        assert denials[0] == ("MODEL_BACKEND_DELETED" if deleted else "MODEL_BACKEND_IN_USE")


async def test_of_concurrent_restorations_of_one_name_one_succeeds(models: Models) -> None:
    deleted = []
    for _ in range(ATTEMPTS):
        deleted.append(await models.create_backend())
        await models.delete_backend(deleted[-1])
    restored, denials = await outcomes(*(models.undelete_backend(one) for one in deleted))
    assert (len(restored), denials) == (1, ["NAME_TAKEN"] * (ATTEMPTS - 1))


async def test_models_and_backends_are_purged_after_the_configured_days(
    models: Models, database: Database
) -> None:
    due, kept = await models.create_backend("Due", key_reference="env:DUE"), await models.create_backend()
    due_model, kept_model = await models.create_model(due), await models.create_model(kept)
    for model in (due_model, kept_model):
        await models.delete_model(model)
    for backend in (due, kept):
        await models.delete_backend(backend)
    for table, resource_id in (
        ("models", due_model.model_id),
        ("models", kept_model.model_id),
        ("model_backends", due.backend_id),
        ("model_backends", kept.backend_id),
    ):
        age_deletion(models, table, 29, resource_id)
    await purging.purge_deleted(database, CONFIG)
    assert len(await list_backends(models, show_deleted=True)) == 2

    age_deletion(models, "models", 31, due_model.model_id)
    age_deletion(models, "model_backends", 31, due.backend_id)
    await purging.purge_deleted(database, CONFIG)
    assert [one.backend_id for one in await list_backends(models, show_deleted=True)] == [kept.backend_id]
    assert [one.model_id for one in await list_models(models, show_deleted=True)] == [kept_model.model_id]
    assert (await expect_error(models.undelete_backend(due))).reason == "MODEL_BACKEND_NOT_FOUND"
    assert (await expect_error(models.undelete_model(due_model))).reason == "MODEL_NOT_FOUND"
    references = models.identity.read_column("SELECT key_reference FROM model_backends")
    assert "env:DUE" not in references
    assert (await actions_of(models, due.backend_id))[-1] == "MODEL_BACKEND_PURGED"
    assert (await actions_of(models, due_model.model_id))[-1] == "MODEL_PURGED"

    await models.identity.set_config(models.person, "model_purge_days", 28)
    await purging.purge_deleted(database, CONFIG)
    assert await list_backends(models, show_deleted=True) == []
    assert await list_models(models, show_deleted=True) == []


async def test_a_purge_keeps_everything_that_is_in_use(models: Models, database: Database) -> None:
    backend = await models.create_backend()
    assigned, deleted = await models.create_model(backend, "assigned"), await models.create_model(backend)
    await models.assign(assigned)
    await models.delete_model(deleted)
    age_deletion(models, "models", 31, deleted.model_id)
    await purging.purge_deleted(database, CONFIG)
    assert await list_backends(models, show_deleted=True) == [backend]
    assert await list_models(models, show_deleted=True) == [assigned]
    components = await models.list_all(
        "ListComponentModels", admin.ListComponentModelsRequest(), "component_models"
    )
    assert assigned.model_id in {one.model_id for one in components}


async def test_a_backend_is_purged_only_after_its_models(models: Models, database: Database) -> None:
    backend = await models.create_backend()
    model = await models.create_model(backend)
    await models.delete_model(model)
    await models.delete_backend(backend)
    age_deletion(models, "model_backends", 31, backend.backend_id)
    await purging.purge_deleted(database, CONFIG)
    assert [one.backend_id for one in await list_backends(models, show_deleted=True)] == [backend.backend_id]
    age_deletion(models, "models", 31, model.model_id)
    await purging.purge_deleted(database, CONFIG)
    assert await list_backends(models, show_deleted=True) == []


async def test_a_restored_model_is_not_purged(models: Models, database: Database) -> None:
    model = await models.create_model(await models.create_backend())
    await models.delete_model(model)
    age_deletion(models, "models", 31, model.model_id)
    await models.undelete_model(model)
    await purging.purge_deleted(database, CONFIG)
    assert [one.model_id for one in await list_models(models, show_deleted=False)] == [model.model_id]


async def test_the_default_models_are_created_again_after_their_deletion(models: Models) -> None:
    deleted = await models.create_backend()
    await models.delete_backend(deleted)
    done = await run_command(models.identity.database_url, "load-model-defaults")
    assert (done.exit_code, done.stdout.count("added the ")) == (0, 2)
    [added] = await list_backends(models, show_deleted=False)
    assert (added.name, added.backend_id != deleted.backend_id) == ("OpenAI", True)

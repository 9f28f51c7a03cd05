"""Fixtures that run identity_service on a database of the test."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Value

from chassis.database import Database
from chassis.testing import MAX_CONNECTIONS, Postgres, RunningService, TestEnvironment, bearer, execute_sql
from identity_service.app import create_app
from identity_service.settings import Settings
from identity_service.sign_in.passwords import hashing
from identity_service.tests.issuer import LocalIssuer, local_issuer
from meno.access.v1.access_pb2 import GlobalRole
from meno.access.v1.audit_service_pb2 import ListAuditEntriesRequest
from meno.access.v1.audit_service_pb2_grpc import AuditServiceStub
from meno.access.v1.resources_pb2 import AuditEntry
from meno.identity.v1.admin_service_pb2 import SetConfigEntryRequest
from meno.identity.v1.admin_service_pb2_grpc import AdminServiceStub
from meno.identity.v1.auth_service_pb2 import RefreshTokensRequest, SignUpRequest
from meno.identity.v1.auth_service_pb2_grpc import AuthServiceStub
from meno.identity.v1.class_service_pb2 import CreateClassRequest, JoinClassRequest
from meno.identity.v1.class_service_pb2_grpc import ClassServiceStub
from meno.identity.v1.data_rights_service_pb2_grpc import DataRightsServiceStub
from meno.identity.v1.resources_pb2 import Class, ConfigEntry, Tokens
from meno.identity.v1.user_service_pb2_grpc import UserServiceStub

PASSWORD = "a long walk in the rain"
PRODUCTION_MEMORY_KIB, PRODUCTION_TIME_COST = hashing._MEMORY_KIB, hashing._TIME_COST


@dataclass
class Person:
    """A signed-in user."""

    tokens: Tokens

    @property
    def user_id(self) -> str:
        return self.tokens.user.user_id

    @property
    def auth(self) -> dict[str, Any]:
        """Arguments that authenticate a call as this user."""
        return bearer(self.tokens.access_token)


class Identity:
    """Stubs of the running service, and calls that many tests need."""

    def __init__(self, service: RunningService, database_url: str) -> None:
        self.database_url = database_url
        self.service = service
        channel = service.channel()
        self.auth = AuthServiceStub(channel)
        self.users = UserServiceStub(channel)
        self.classes = ClassServiceStub(channel)
        self.admin = AdminServiceStub(channel)
        self.audit = AuditServiceStub(channel)
        self.data_rights = DataRightsServiceStub(channel)

    async def sign_up(
        self, name: str | None = None, role: GlobalRole.ValueType = GlobalRole.GLOBAL_ROLE_STUDENT
    ) -> Person:
        name = name or f"p{uuid.uuid4().hex[:12]}"
        request = SignUpRequest(login_name=name, display_name=name, password=PASSWORD, role=role)
        return Person(await self.auth.SignUp(request))

    async def sign_up_teacher(self) -> Person:
        return await self.sign_up(role=GlobalRole.GLOBAL_ROLE_TEACHER)

    async def sign_up_admin(self) -> Person:
        """Signs a user up and gives them the role ADMIN in the database."""
        person = await self.sign_up()
        self.execute_sql("UPDATE users SET role = 'ADMIN' WHERE user_id = %s", person.user_id)
        await self.refresh(person)
        return person

    async def list_audited(self, admin: Person, **filters: Any) -> list[AuditEntry]:
        """Returns the audit entries, newest first, after the outbox is empty."""
        while await asyncio.to_thread(self.count_rows, "outbox"):
            continue
        listed = await self.audit.ListAuditEntries(ListAuditEntriesRequest(**filters), **admin.auth)
        return [*listed.entries]

    async def set_config(self, admin: Person, key: str, value: Any, **values: str) -> ConfigEntry:
        request = SetConfigEntryRequest(key=key, value=ParseDict(value, Value()), **values)
        return await self.admin.SetConfigEntry(request, **admin.auth)

    def list_identifiers(self, user_id: str) -> set[tuple[str, bool]]:
        """Returns the login identifiers of a user, each with whether it is verified."""
        query = "SELECT canonical, verified_at IS NOT NULL FROM login_identifiers WHERE user_id = %s"
        return {(canonical, verified) for canonical, verified in self.execute_sql(query, user_id)}

    def execute_sql(self, statement: str, *values: object, **named: object) -> list[tuple[Any, ...]]:
        """Executes a statement on the database of the service, and returns its rows."""
        return execute_sql(self.database_url, statement, *values, **named)

    def read_column(self, query: str, *values: object) -> list[Any]:
        """Returns the values of a query with one column."""
        return [value for [value] in self.execute_sql(query, *values)]

    def count_rows(self, table: str) -> int:
        [count] = self.read_column(f"SELECT count(*) FROM {table}")
        return int(count)

    async def wait_for_lock(self) -> None:
        """Returns when a transaction waits for a lock."""
        query = (
            "SELECT FROM pg_locks JOIN pg_stat_activity USING (pid)"
            " WHERE NOT granted AND datname = current_database()"
        )
        while not await asyncio.to_thread(self.execute_sql, query):
            continue

    async def refresh(self, person: Person) -> None:
        request = RefreshTokensRequest(refresh_token=person.tokens.refresh_token)
        person.tokens = await self.auth.RefreshTokens(request)

    async def create_class(self, teacher: Person) -> Class:
        created = await self.classes.CreateClass(CreateClassRequest(title="Algebra"), **teacher.auth)
        await self.refresh(teacher)
        return created

    async def join(self, person: Person, joined: Class) -> None:
        request = JoinClassRequest(user_id="me", join_code=joined.join_code)
        await self.classes.JoinClass(request, **person.auth)
        await self.refresh(person)


@pytest.fixture(scope="session", autouse=True)
def cheap_hashing() -> Iterator[None]:
    """Makes hashing a password cheap, because almost every test signs up several users."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashing, "_MEMORY_KIB", 16)
        patch.setattr(hashing, "_TIME_COST", 1)
        yield


@pytest.fixture
def production_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restores the parameters of production. A test names it before the service."""
    monkeypatch.setattr(hashing, "_MEMORY_KIB", PRODUCTION_MEMORY_KIB)
    monkeypatch.setattr(hashing, "_TIME_COST", PRODUCTION_TIME_COST)


@pytest.fixture
def more_settings() -> dict[str, Any]:
    """Additional settings. A test module overrides this fixture to set some."""
    return {}


@pytest_asyncio.fixture
async def issuer() -> AsyncIterator[LocalIssuer]:
    """An OpenID Connect issuer that a module can trust in `more_settings`."""
    async with local_issuer() as running:
        yield running


@asynccontextmanager
async def run_service(
    env: TestEnvironment, database_url: str, directory: Path, **more_settings: Any
) -> AsyncIterator[Identity]:
    """Runs the service on a database."""
    settings = Settings(
        database_url=database_url,
        secret="a secret of this test, long enough",
        tls_directory=directory,
        allowed_roles=frozenset({"STUDENT", "TEACHER"}),
        max_connections=MAX_CONNECTIONS,
        **more_settings,
    )
    async with create_app(settings) as app, env.serve(app, "identity_service") as service:
        await app.security.revocations.ready.wait()
        yield Identity(service, database_url)


@pytest_asyncio.fixture
async def identity(
    env: TestEnvironment, new_database: Callable[[str], str], tmp_path: Path, more_settings: dict[str, Any]
) -> AsyncIterator[Identity]:
    async with run_service(env, new_database("identity_service"), tmp_path, **more_settings) as running:
        yield running


@pytest_asyncio.fixture(scope="module")
async def shared(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Identity]:
    """One service for all tests of a module. Each test creates its own users."""
    directory, url = tmp_path_factory.mktemp("shared"), postgres.create("identity_service")
    async with run_service(TestEnvironment(directory / "certificates"), url, directory) as running:
        yield running
    postgres.drop(url)


@pytest_asyncio.fixture
async def database(identity: Identity) -> AsyncIterator[Database]:
    """The database of the service, for operations without an RPC."""
    opened = Database(identity.database_url)
    await opened.open()
    yield opened
    await opened.close()

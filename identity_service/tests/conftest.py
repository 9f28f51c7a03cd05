"""identity_service as it runs, on a database of the test's own."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from chassis.database import Database
from chassis.testing import Postgres, RunningService, TestEnvironment, bearer
from identity_service.app import create_app
from identity_service.settings import Settings
from identity_service.tests.issuer import LocalIssuer, local_issuer
from meno.access.v1.access_pb2 import GlobalRole
from meno.access.v1.audit_service_pb2 import ListAuditEntriesRequest
from meno.access.v1.audit_service_pb2_grpc import AuditServiceStub
from meno.access.v1.resources_pb2 import AuditEntry
from meno.identity.v1.admin_service_pb2_grpc import AdminServiceStub
from meno.identity.v1.auth_service_pb2 import RefreshTokensRequest, SignUpRequest
from meno.identity.v1.auth_service_pb2_grpc import AuthServiceStub
from meno.identity.v1.class_service_pb2 import CreateClassRequest, JoinClassRequest
from meno.identity.v1.class_service_pb2_grpc import ClassServiceStub
from meno.identity.v1.data_rights_service_pb2_grpc import DataRightsServiceStub
from meno.identity.v1.resources_pb2 import Class, Tokens
from meno.identity.v1.user_service_pb2_grpc import UserServiceStub

PASSWORD = "a long walk in the rain"


@dataclass
class Person:
    """Somebody who is signed in."""

    tokens: Tokens

    @property
    def user_id(self) -> str:
        return self.tokens.user.user_id

    @property
    def auth(self) -> dict[str, Any]:
        """Arguments that make a call theirs."""
        return bearer(self.tokens.access_token)


class Identity:
    """Stubs of the running service, and the people whom a test needs."""

    def __init__(self, served: RunningService, database_url: str) -> None:
        self.database_url = database_url
        self.served = served
        channel = served.channel()
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
        """Somebody who signed up and was then made an administrator, as `create-admin` makes one."""
        person = await self.sign_up()
        with psycopg.connect(self.database_url) as connection:
            connection.execute("UPDATE users SET role = 'ADMIN' WHERE user_id = %s", [person.user_id])
        await self.refresh(person)
        return person

    async def audited(self, admin: Person, **of: Any) -> list[AuditEntry]:
        """The audit entries, newest first, once every fact has arrived."""
        while await asyncio.to_thread(self._facts_wait):
            continue
        listed = await self.audit.ListAuditEntries(ListAuditEntriesRequest(**of), **admin.auth)
        return [*listed.entries]

    def _facts_wait(self) -> bool:
        with psycopg.connect(self.database_url) as connection:
            return connection.execute("SELECT 1 FROM outbox LIMIT 1").fetchone() is not None

    async def refresh(self, person: Person) -> None:
        request = RefreshTokensRequest(refresh_token=person.tokens.refresh_token)
        person.tokens = await self.auth.RefreshTokens(request)

    async def new_class(self, teacher: Person) -> Class:
        created = await self.classes.CreateClass(CreateClassRequest(title="Algebra"), **teacher.auth)
        await self.refresh(teacher)
        return created

    async def join(self, person: Person, joined: Class) -> None:
        request = JoinClassRequest(user_id="me", join_code=joined.join_code)
        await self.classes.JoinClass(request, **person.auth)
        await self.refresh(person)


@pytest.fixture
def more_settings() -> dict[str, Any]:
    """What a module's tests set beside the rest; it says so in a fixture of this name."""
    return {}


@pytest_asyncio.fixture
async def issuer() -> AsyncIterator[LocalIssuer]:
    """An OpenID Connect issuer that a module's settings may trust."""
    async with local_issuer() as running:
        yield running


@asynccontextmanager
async def serving(
    env: TestEnvironment, database_url: str, directory: Path, **more_settings: Any
) -> AsyncIterator[Identity]:
    """The service on a database."""
    settings = Settings(
        database_url=database_url,
        secret="a secret of this test, long enough",
        tls_directory=directory,
        offered_roles=frozenset({"STUDENT", "TEACHER"}),
        **more_settings,
    )
    async with create_app(settings) as app, env.serve(app, "identity_service") as served:
        await app.security.revocations.ready.wait()
        yield Identity(served, database_url)


@pytest_asyncio.fixture
async def identity(
    env: TestEnvironment, new_database: Callable[[str], str], tmp_path: Path, more_settings: dict[str, Any]
) -> AsyncIterator[Identity]:
    async with serving(env, new_database("identity_service"), tmp_path, **more_settings) as running:
        yield running


@pytest_asyncio.fixture(scope="module")
async def town(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Identity]:
    """One service for all tests of a module, which keep to people of their own."""
    directory, url = tmp_path_factory.mktemp("town"), postgres.create("identity_service")
    async with serving(TestEnvironment(directory / "certificates"), url, directory) as running:
        yield running
    postgres.drop(url)


@pytest_asyncio.fixture
async def database(identity: Identity) -> AsyncIterator[Database]:
    """The service's database, for what no RPC does."""
    opened = Database(identity.database_url)
    await opened.open()
    yield opened
    await opened.close()

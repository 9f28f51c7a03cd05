"""Makes a person: who they are, what they sign in with, and their password."""

from typing import NamedTuple

from chassis import audit
from chassis.database import Executor, Transaction
from identity_service.administration.config.config import Config
from identity_service.errors import IdentifierTaken, RoleNotOffered, SignUpClosed
from identity_service.people.users import rules as user_rules
from identity_service.people.users import store as users
from identity_service.people.users.store import Identifier, NewUser
from identity_service.sign_in.tokens import store
from identity_service.sign_in.tokens.store import CredentialRow
from meno.access.v1.audit_service_pb2 import AuditAction


class NewAccount(NamedTuple):
    """Who signs up, and with what."""

    display_name: str
    role: str
    password_hash: str = ""
    """Empty of who shows in another way who they are."""
    login_name: str = ""
    email: str = ""
    phone: str = ""

    def identifiers(self) -> list[Identifier]:
        """Everything that the person can sign in with."""
        given = {"LOGIN_NAME": self.login_name, "EMAIL": self.email, "PHONE": self.phone}
        return [
            Identifier(kind, value, user_rules.canonical(value)) for kind, value in given.items() if value
        ]


class AlreadyMade(Exception):
    """This request made its person before."""


async def create(transaction: Transaction, account: NewAccount, request_id: str = "") -> str:
    """Adds a person and returns their id. Raises IdentifierTaken, or AlreadyMade for a repetition."""
    nickname = user_rules.default_nickname(account.display_name)
    user_id = await users.add(transaction, NewUser(account.display_name, nickname, account.role))
    if request_id and not await store.claim_request(transaction, request_id, user_id):
        raise AlreadyMade()
    for identifier in account.identifiers():
        if not await users.claim_identifier(transaction, user_id, identifier):
            raise IdentifierTaken(identifier.kind.lower())
    if account.password_hash:
        await store.add_credential(transaction, CredentialRow(user_id, account.password_hash))
    await audit.record(transaction, AuditAction.AUDIT_ACTION_USER_CREATED, user_id=user_id, role=account.role)
    return user_id


async def newcomers_role(executor: Executor, config: Config, wished: str = "") -> str:
    """The role of who signs up. Raises SignUpClosed, or RoleNotOffered for one that may not be wished."""
    if not await config.value(executor, "sign_up_open"):
        raise SignUpClosed()
    if wished and wished not in await config.value(executor, "offered_roles"):
        raise RoleNotOffered(wished)
    return wished or str(await config.value(executor, "signup_role"))

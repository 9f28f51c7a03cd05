"""Creates user accounts: the user, their login identifiers and their password."""

from typing import NamedTuple

from chassis import audit
from chassis.database import Executor, Transaction
from identity_service.administration.config.reader import ConfigReader
from identity_service.errors import IdentifierTaken, RoleNotAllowed, SignUpDisabled
from identity_service.people.users import rules, store
from identity_service.people.users.types import Identifier, NewUser
from meno.access.v1.resources_pb2 import AuditAction


class NewAccount(NamedTuple):
    """An account to create."""

    display_name: str
    role: str
    password_hash: str = ""
    """Empty if the user signs in without a password."""
    login_name: str = ""
    email: str = ""
    phone: str = ""

    def identifiers(self) -> list[Identifier]:
        """Returns all login identifiers of the account. Raises FieldInvalid."""
        names = [rules.login_name(self.login_name)] if self.login_name else []
        addresses = {"EMAIL": self.email, "PHONE": self.phone}
        return names + [
            Identifier(kind, value, rules.canonicalize(value)) for kind, value in addresses.items() if value
        ]


class AccountExists(Exception):
    """The sign-up request has already created its account."""


async def create(
    transaction: Transaction, account: NewAccount, request_id: str = "", *, by_admin: bool = False
) -> str:
    """Creates an account and returns its user id.

    A deleted account loses an address of the new account if it has not verified it. If an administrator
    creates the new account, every account that is in use does.

    Raises FieldInvalid, IdentifierTaken, or AccountExists if the request already created an account.
    """
    display_name = rules.valid_display_name(account.display_name)
    nickname = rules.default_nickname(display_name)
    user_id = await store.add(transaction, NewUser(display_name, nickname, account.role))
    if request_id and not await store.claim_sign_up_request(transaction, request_id, user_id):
        raise AccountExists()
    for identifier in account.identifiers():
        await release_claim(transaction, identifier, by_admin=by_admin)
        if not await store.claim_identifier(transaction, user_id, identifier):
            raise IdentifierTaken(identifier.kind.lower())
    if account.password_hash:
        await store.add_password(transaction, user_id, account.password_hash)
    await audit.record(transaction, AuditAction.AUDIT_ACTION_USER_CREATED, user_id=user_id, role=account.role)
    return user_id


async def release_claim(transaction: Transaction, identifier: Identifier, *, by_admin: bool = False) -> None:
    """Removes an address from a deleted account that has not verified it.

    An administrator also removes it from an account that is in use.
    """
    loser_id = await store.release_claim(transaction, identifier.canonical, by_admin=by_admin)
    if loser_id is not None:
        await record_claim_lost(transaction, loser_id, identifier.kind)


async def record_claim_lost(transaction: Transaction, user_id: str, kind: str) -> None:
    """Records in the audit log that a user has lost an unverified address of this kind."""
    await audit.record(transaction, AuditAction.AUDIT_ACTION_CLAIM_LOST, user_id=user_id, kind=kind)


async def default_role(executor: Executor, config: ConfigReader, requested: str = "") -> str:
    """Returns the role of a user who signs up: the requested role, or the configured default.

    Raises SignUpDisabled, or RoleNotAllowed if users may not choose the requested role.
    """
    if not await config.value(executor, "sign_up_enabled"):
        raise SignUpDisabled()
    if requested and requested not in await config.value(executor, "allowed_roles"):
        raise RoleNotAllowed(requested)
    return requested or str(await config.value(executor, "signup_role"))

"""What a person adds to sign in with, from within their account."""

from typing import NamedTuple

from chassis import audit
from chassis.calls import caller
from chassis.database import Transaction
from chassis.errors import RightsChanged
from identity_service.account_feed import store as account_feed
from identity_service.administration.config.config import Config
from identity_service.errors import CodeRequired, IdentifierTaken, SignInNotRecent, UserNotFound
from identity_service.people.users import creation
from identity_service.people.users import rules as user_rules
from identity_service.people.users.store import Identifier
from identity_service.sign_in.codes.codes import Codes
from identity_service.sign_in.credentials import proving, store
from identity_service.sign_in.credentials.proofs import Proof
from identity_service.sign_in.credentials.rules import Linking
from identity_service.sign_in.credentials.store import PersonRow
from identity_service.sign_in.sign_ins import store as sign_ins
from meno.access.v1.audit_service_pb2 import AuditAction

GUEST = "Guest"
"""The name of guests who gave no other."""


class Wish(NamedTuple):
    """What is to be added."""

    login_name: Identifier | None = None
    proven: Identifier | None = None
    """The address that comes with a code."""
    code: str = ""
    claimed: tuple[Identifier, ...] = ()
    """Addresses that come without."""
    password_hash: str = ""
    proof: Proof = Proof()
    """What an ID token proves; nothing where there is none."""
    display_name: str = ""

    def signs_in(self) -> bool:
        """Whether there is something in it by which a person is found; a password alone finds nobody."""
        return bool(self.login_name or self.proven or self.claimed or self.proof.identity)

    def name_of(self, person: PersonRow, *, becomes: bool) -> str:
        """What a person is called from now on; `becomes` is of a guest who is one no more."""
        if self.display_name:
            return self.display_name
        if not becomes or person.display_name != GUEST:
            return person.display_name
        addresses = (self.proven,) if self.proven else self.claimed
        known = self.login_name.value if self.login_name else self.proof.name
        return Proof(addresses or self.proof.addresses, name=known).newcomers_name()

    def names(self) -> list[str]:
        """What nobody else may be proving or linking meanwhile."""
        given = (self.login_name, self.proven, *self.claimed)
        return [*{*(one.canonical for one in given if one), *self.proof.names()}]


class PasswordAdded(Exception):
    """Somebody gave the person a password at this very moment."""


class Link:
    """Adds to one person, in one transaction."""

    def __init__(self, transaction: Transaction, user_id: str) -> None:
        self._transaction = transaction
        self._user_id = user_id
        self._changed = False

    async def redeem(self, codes: Codes, wish: Wish) -> bool:
        """Whether the code proves its address, or a repetition finds it proven.

        False must be committed, for the attempt is counted.
        """
        address = wish.proven
        if address is None or await self._has_proven(address):
            return True
        if await codes.redeem(self._transaction, address.canonical, wish.code):
            return True
        if not await self._has_proven(address):
            return False
        await codes.forget_attempts(self._transaction, address.canonical)
        return True

    async def add(self, config: Config, wish: Wish) -> None:
        """Adds what is wished.

        Raises IdentifierTaken, CodeRequired, SignInNotRecent, SignUpClosed, RightsChanged, UserNotFound,
        or PasswordAdded.
        """
        await store.lock(self._transaction, wish.names())
        person = await store.person(self._transaction, self._user_id)
        if person is None:
            raise UserNotFound(self._user_id)
        # Whose claim was taken a moment ago must not leave another way in behind.
        if caller().rights_version < person.rights_version:
            raise RightsChanged()
        if wish.login_name:
            await self._rename(wish.login_name)
        if wish.proven:
            await self._prove(wish.proven)
        for address in wish.claimed:
            await self._claim(address)
        if wish.password_hash:
            await self._set_password(wish.password_hash)
        await self._identify(wish.proof)
        if self._changed and not (person.guest or await self._has_just_signed_in()):
            raise SignInNotRecent()
        await self._become(config, person, wish)

    async def _has_just_signed_in(self) -> bool:
        """Whether it is surely the person: a token that was stolen opens nothing that lasts."""
        return await sign_ins.is_recent(self._transaction, self._user_id, caller().sign_in_id)

    async def _has_proven(self, address: Identifier) -> bool:
        own = (await store.own(self._transaction, self._user_id)).get(address.kind)
        return own is not None and own.proven and own.canonical == address.canonical

    async def _rename(self, name: Identifier) -> None:
        own = (await store.own(self._transaction, self._user_id)).get(name.kind)
        if own is not None and own.value == name.value:
            return
        await store.remove(self._transaction, self._user_id, name.kind)
        await self._add(name)

    async def _claim(self, address: Identifier) -> None:
        own = (await store.own(self._transaction, self._user_id)).get(address.kind)
        if own is None:
            await self._add(address)
        elif own.canonical != address.canonical:
            raise CodeRequired(address.kind.lower())

    async def _add(self, identifier: Identifier) -> None:
        if not await store.add(self._transaction, self._user_id, identifier, proven=False):
            raise IdentifierTaken(identifier.kind.lower())
        await proving.linked(self._transaction, self._user_id, identifier.kind)
        self._changed = True

    async def _prove(self, address: Identifier) -> None:
        outcome = await proving.prove(self._transaction, self._user_id, address)
        if outcome is Linking.REFUSE:
            raise IdentifierTaken(address.kind.lower())
        self._changed |= outcome is not Linking.KEEP

    async def _set_password(self, password_hash: str) -> None:
        if not await store.add_password(self._transaction, self._user_id, password_hash):
            raise PasswordAdded()
        action = AuditAction.AUDIT_ACTION_PASSWORD_CHANGED
        await audit.record(self._transaction, action, user_id=self._user_id)
        self._changed = True

    async def _identify(self, proof: Proof) -> None:
        if proof.identity is None:
            return
        known = await store.who_is(self._transaction, proof.identity)
        if known is not None and known != self._user_id:
            raise IdentifierTaken("id_token")
        if known is None:
            await proving.keep(self._transaction, self._user_id, proof)
            self._changed = True

    async def _become(self, config: Config, person: PersonRow, wish: Wish) -> None:
        """Makes a guest who can sign in by now a person, and gives people their name."""
        becomes = person.guest and wish.signs_in()
        role = await creation.default_role(self._transaction, config) if becomes else person.role
        name = wish.name_of(person, becomes=becomes)
        if not (self._changed or becomes or name != person.display_name):
            return
        nickname = person.nickname
        if nickname == user_rules.default_nickname(person.display_name):
            nickname = user_rules.default_nickname(name)
        await store.change_person(
            self._transaction,
            self._user_id,
            display_name=name,
            nickname=nickname,
            role=role,
            guest=person.guest and not becomes,
        )
        if becomes:
            action = AuditAction.AUDIT_ACTION_USER_CREATED
            await audit.record(self._transaction, action, user_id=self._user_id, role=role)
        if role != person.role:
            await account_feed.lose_rights(self._transaction, self._user_id)

"""Makes pairs of tokens: the first of a sign-in, and the successor of a refresh token."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from chassis import audit
from chassis.database import Database, Executor, Transaction
from chassis.errors import RequestIdReused
from chassis.wire import timestamp
from identity_service.errors import (
    AccountDeactivated,
    CredentialsInvalid,
    RefreshTokenInvalid,
    TokensAlreadyRotated,
)
from identity_service.people.users import servicer as users
from identity_service.people.users import store as user_store
from identity_service.sign_in.keys.issuer import Issuer, Subject
from identity_service.sign_in.sign_ins import ending
from identity_service.sign_in.tokens import rules, store
from identity_service.sign_in.tokens.rules import Family, RefreshToken, Verdict
from identity_service.sign_in.tokens.store import SignInRow
from meno.access.v1.audit_service_pb2 import AuditAction
from meno.identity.v1.auth_service_pb2 import Tokens


class Refreshable(NamedTuple):
    """A refresh token and when it ends."""

    token: RefreshToken
    expires_at: datetime


class Mint:
    """Begins sign-ins, refreshes them, and signs what they are worth."""

    def __init__(self, database: Database, issuer: Issuer, secret: bytes, lifetime: timedelta) -> None:
        self._database = database
        self._issuer = issuer
        self._secret = secret
        self._lifetime = lifetime

    async def begin(self, transaction: Transaction, user_id: str, request_id: str, proof: str) -> Refreshable:
        """Begins a sign-in, or returns the one that this request began.

        Raises AccountDeactivated, or CredentialsInvalid for nobody; RequestIdReused where the
        proof is another, TokensAlreadyRotated where its first token was replaced since.
        """
        let_in = await store.arrive(transaction, user_id)
        if not let_in:
            raise CredentialsInvalid() if let_in is None else AccountDeactivated()
        secret = rules.first_secret(self._secret, request_id, proof)
        first_hash = RefreshToken(user_id, "", secret).hash()
        row = await store.begin(transaction, user_id, request_id, first_hash, self._lifetime)
        begun = _first(user_id, secret, row)
        if begun is None:
            raise RequestIdReused(request_id)
        return begun

    async def begun(
        self, executor: Executor, user_id: str, request_id: str, proof: str
    ) -> Refreshable | None:
        """The sign-in that this request began; None where the proof is another.

        Raises TokensAlreadyRotated where its first token was replaced since.
        """
        secret = rules.first_secret(self._secret, request_id, proof)
        row = await store.begun(executor, user_id, request_id)
        return _first(user_id, secret, row) if row is not None else None

    async def refresh(self, presented: RefreshToken) -> Refreshable:
        """Exchanges a refresh token for its successor. Raises RefreshTokenInvalid."""
        successor = presented.successor(self._secret)
        async with self._database.transaction() as transaction:
            row = await store.locked(transaction, presented.user_id, presented.sign_in_id)
            if row is None:
                raise RefreshTokenInvalid()
            verdict = rules.judge(Family(*row[1:]), presented.hash(), datetime.now(UTC))
            if verdict is Verdict.REPEAT:
                return Refreshable(successor, row.expires_at)
            if verdict is Verdict.ROTATE:
                expires_at = await store.rotate(
                    transaction, presented.user_id, row.sign_in_id, successor.hash(), self._lifetime
                )
                return Refreshable(successor, expires_at)
            if verdict is Verdict.REUSED:
                await ending.end(transaction, presented.user_id, row.sign_in_id)
                await audit.record(
                    transaction,
                    AuditAction.AUDIT_ACTION_REFRESH_TOKEN_REUSED,
                    user_id=presented.user_id,
                    resource_id=row.sign_in_id,
                )
        raise RefreshTokenInvalid()

    async def tokens(self, refreshable: Refreshable) -> Tokens:
        """The pair, with the rights that the person has now.

        Raises AccountDeactivated, or CredentialsInvalid for nobody and where the sign-in has ended.
        """
        user_id = refreshable.token.user_id
        subject = await store.subject(self._database, user_id, refreshable.token.sign_in_id)
        user = await user_store.get(self._database, user_id)
        if subject is None or user is None:
            raise CredentialsInvalid()
        if not subject.let_in:
            raise AccountDeactivated()
        access = self._issuer.sign(
            Subject(
                user_id=user_id,
                role=subject.role,
                rights_version=subject.rights_version,
                guest=subject.guest,
                classes=subject.classes,
                archived=subject.archived,
                sign_in_id=refreshable.token.sign_in_id,
            )
        )
        return Tokens(
            access_token=access.text,
            access_token_expire_time=timestamp(access.expires_at),
            refresh_token=refreshable.token.text(),
            refresh_token_expire_time=timestamp(refreshable.expires_at),
            user=users.message(user),
        )


def _first(user_id: str, secret: str, row: SignInRow) -> Refreshable | None:
    """The first token of a sign-in, where this is its secret. Raises TokensAlreadyRotated."""
    if row.rotated_at is not None or row.revoked_at is not None:
        raise TokensAlreadyRotated()
    token = RefreshToken(user_id, row.sign_in_id, secret)
    return Refreshable(token, row.expires_at) if token.hash() == row.current_hash else None

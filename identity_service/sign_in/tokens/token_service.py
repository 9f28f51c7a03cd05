"""Issues tokens: the first tokens of a sign-in, the successor of a refresh token, and access tokens."""

import secrets
from datetime import UTC, datetime, timedelta

from chassis import audit
from chassis.database import Database, Executor, Transaction
from chassis.errors import RequestIdReused
from identity_service.errors import (
    AccountDeactivated,
    CredentialsInvalid,
    RefreshTokenInvalid,
    TokensAlreadyRotated,
)
from identity_service.people.users import store as users
from identity_service.sign_in.keys.signer import TokenSigner
from identity_service.sign_in.keys.types import Subject
from identity_service.sign_in.sign_ins import commands as sign_ins
from identity_service.sign_in.tokens import messages, rules, store
from identity_service.sign_in.tokens.rules import RefreshOutcome
from identity_service.sign_in.tokens.types import BegunRow, RefreshToken, SignInRow, SignInTokens, add_tag
from meno.access.v1.resources_pb2 import AuditAction
from meno.identity.v1.resources_pb2 import Tokens

_SECRET_BYTES = 32


class TokenService:
    """Begins sign-ins, refreshes them and issues their tokens."""

    def __init__(self, database: Database, signer: TokenSigner, secret: bytes, lifetime: timedelta) -> None:
        """`lifetime` is the time after which a sign-in that is not refreshed expires."""
        self._database = database
        self._signer = signer
        self._secret = secret
        self._lifetime = lifetime

    async def begin(
        self, transaction: Transaction, user_id: str, request_id: str, proof: str, *, kind: str = ""
    ) -> SignInTokens:
        """Begins a sign-in, or returns the one that the same request began.

        `kind` is that of the audit entry; without it, the sign-in is not recorded.
        Raises AccountDeactivated, or CredentialsInvalid if there is no such user. Raises RequestIdReused if
        the request began a sign-in with another proof, or TokensAlreadyRotated if that sign-in was
        refreshed since.
        """
        active = await store.touch_last_sign_in(transaction, user_id)
        if not active:
            raise CredentialsInvalid() if active is None else AccountDeactivated()
        if request_id:
            secret = rules.first_secret(self._secret, user_id, request_id, proof)
        else:
            secret = add_tag(self._secret, user_id, secrets.token_urlsafe(_SECRET_BYTES))
        first_hash = RefreshToken(user_id, "", secret).hash()
        row = await store.begin(transaction, user_id, request_id, first_hash, self._lifetime)
        begun = _first_tokens(user_id, secret, row)
        if begun is None:
            raise RequestIdReused(request_id)
        # A repetition is not recorded, and only the first of very many.
        if kind and row.is_new and row.earlier < rules.MAX_AUDITED_PER_HOUR:
            await _audit(transaction, user_id, row.sign_in_id, kind)
        return begun

    async def find_by_request(
        self, executor: Executor, user_id: str, request_id: str, proof: str
    ) -> SignInTokens | None:
        """Returns the sign-in that a request began, or None if there is none with this proof.

        Raises TokensAlreadyRotated if the sign-in was refreshed since.
        """
        row = await store.get_by_request(executor, user_id, request_id)
        if row is None:
            return None
        return _first_tokens(user_id, rules.first_secret(self._secret, user_id, request_id, proof), row)

    async def refresh(self, presented: RefreshToken) -> SignInTokens:
        """Exchanges a refresh token for its successor. Raises RefreshTokenInvalid.

        A token that was replaced earlier ends the sign-in, and the reuse is recorded in the audit log. A token
        that was never issued has no effect, because anyone who knows the ids could invent one.
        """
        if not presented.was_issued(self._secret):
            raise RefreshTokenInvalid()
        successor = presented.successor(self._secret)
        async with self._database.transaction() as transaction:
            row = await store.get_for_update(transaction, presented.user_id, presented.sign_in_id)
            if row is None:
                raise RefreshTokenInvalid()
            outcome = rules.check_refresh(row, presented.hash(), datetime.now(UTC))
            if outcome is RefreshOutcome.REPEAT:
                return SignInTokens(successor, row.expires_at)
            if outcome is RefreshOutcome.ROTATE:
                expires_at = await store.rotate(
                    transaction, presented.user_id, row.sign_in_id, successor.hash(), self._lifetime
                )
                return SignInTokens(successor, expires_at)
            if outcome is RefreshOutcome.REUSED:
                await _end_reused(transaction, presented.user_id, row.sign_in_id)
        raise RefreshTokenInvalid()

    def was_issued_to(self, token: RefreshToken, user_id: str) -> bool:
        """Returns whether a refresh token was issued to a user. It may be replaced, ended or expired."""
        return token.user_id == user_id and token.was_issued(self._secret)

    async def issue(self, tokens: SignInTokens) -> Tokens:
        """Returns the tokens of a sign-in, with an access token that contains the current rights.

        Raises AccountDeactivated, or CredentialsInvalid if the user is deleted or the sign-in has ended.
        """
        user_id, sign_in_id, _ = tokens.token
        row = await store.get_subject(self._database, user_id, sign_in_id)
        user = await users.get(self._database, user_id)
        if row is None or user is None:
            raise CredentialsInvalid()
        if not row.active:
            raise AccountDeactivated()
        access = self._signer.sign(
            Subject(
                user_id=user_id,
                role=row.role,
                rights_version=row.rights_version,
                guest=row.guest,
                classes=row.classes,
                archived=row.archived,
                sign_in_id=sign_in_id,
            )
        )
        return messages.to_message(access, tokens, user, datetime.now(UTC))


async def _audit(transaction: Transaction, user_id: str, sign_in_id: str, kind: str) -> None:
    action = AuditAction.AUDIT_ACTION_SIGNED_IN
    await audit.record(
        transaction, action, actor_user_id=user_id, user_id=user_id, resource_id=sign_in_id, kind=kind
    )


async def _end_reused(transaction: Transaction, user_id: str, sign_in_id: str) -> None:
    await sign_ins.end(transaction, user_id, sign_in_id)
    action = AuditAction.AUDIT_ACTION_REFRESH_TOKEN_REUSED
    await audit.record(transaction, action, user_id=user_id, resource_id=sign_in_id)


def _first_tokens(user_id: str, secret: str, row: SignInRow | BegunRow) -> SignInTokens | None:
    """Returns the first tokens of a sign-in, or None if the secret differs. Raises TokensAlreadyRotated."""
    if row.rotated_at is not None or row.revoked_at is not None:
        raise TokensAlreadyRotated()
    token = RefreshToken(user_id, row.sign_in_id, secret)
    return SignInTokens(token, row.expires_at) if token.hash() == row.current_hash else None

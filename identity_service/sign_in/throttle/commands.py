"""Limits the rate of failed attempts to sign in."""

from chassis import audit, calls
from chassis.database import Executor, Transaction
from chassis.networks import network_of
from identity_service.errors import SignInRateLimited
from identity_service.sign_in.throttle import rules, store
from identity_service.sign_in.throttle.rules import Counter
from meno.access.v1.resources_pb2 import AuditAction


def current_network() -> str:
    """Returns the network of the client of the current call; empty if it is unknown."""
    return network_of(calls.client_address(), ipv4_bits=rules.IPV4_BITS)


async def count_attempt(executor: Executor, counter: Counter) -> None:
    """Counts an attempt as a failure, before its proof is verified. Raises SignInRateLimited."""
    if not await store.count_attempt(executor, counter):
        raise SignInRateLimited(await store.get_delay(executor, counter))


async def audit_failure(transaction: Transaction, counter: Counter, kind: str, user_id: str | None) -> None:
    """Records a failed attempt in the audit log, if its number is one of `rules.AUDITED_FAILURES`.

    `kind` is PASSWORD or CODE; `user_id` is None if no user has the name.
    """
    failures = await store.get_failures(transaction, counter)
    action = rules.AUDITED_FAILURES.get(failures)
    if action is not None:
        await audit.record(
            transaction,
            AuditAction.Value(f"AUDIT_ACTION_{action}"),
            user_id=user_id or "",
            kind=kind,
            name_hash=counter.identifier_hash.hex(),
            network_hash=counter.network_hash.hex(),
            failures=failures,
        )


async def audit_invalid_id_token(transaction: Transaction, key: bytes, cause: str) -> None:
    """Records the first invalid ID token of the current network in a day in the audit log.

    Such tokens have no name to count by, and do not delay the next attempt. `cause` is that of ID_TOKEN_INVALID.
    """
    counter = rules.counter(key, "ID_TOKEN", current_network())
    counted = await store.count_attempt(transaction, counter)
    if counted and await store.get_failures(transaction, counter) == 1:
        await audit.record(
            transaction,
            AuditAction.AUDIT_ACTION_SIGN_IN_FAILED,
            kind="ID_TOKEN",
            network_hash=counter.network_hash.hex(),
            cause=cause,
        )


async def reset_failures(executor: Executor, counter: Counter) -> None:
    """Resets the count of failures of a name, in all networks, after a successful attempt."""
    await store.reset_failures(executor, counter.identifier_hash)

"""Who comes with a proof, and is let in to the account that is theirs, or to a new one."""

from chassis.database import Transaction
from identity_service.administration.config.config import Config
from identity_service.errors import AccountDeactivated
from identity_service.people.users import creation
from identity_service.people.users.creation import NewAccount
from identity_service.people.users.store import Identifier
from identity_service.sign_in.credentials import proving, rules, store
from identity_service.sign_in.credentials.proofs import Proof
from identity_service.sign_in.credentials.rules import Arrival


async def arrive(transaction: Transaction, config: Config, proof: Proof) -> str:
    """The id of the person whom a proof shows; who comes for the first time is signed up.

    Raises SignUpClosed, or AccountDeactivated for a deleted account.
    """
    await store.lock(transaction, proof.names())
    known = await store.who_is(transaction, proof.identity) if proof.identity else None
    user_id, claim = (known, None) if known else await _by_address(transaction, proof)
    if user_id is None:
        role = await creation.default_role(transaction, config)
        user_id = await creation.create(transaction, NewAccount(proof.newcomers_name(), role))
    elif await store.is_deleted(transaction, user_id):
        raise AccountDeactivated()
    if known is None:
        await proving.keep(transaction, user_id, proof)
    if claim is not None:
        await proving.reclaim(transaction, user_id, claim)
    return user_id


async def _by_address(transaction: Transaction, proof: Proof) -> tuple[str | None, Identifier | None]:
    """Who has one of the addresses, and where it was only claimed, which; the account is locked."""
    claimed: tuple[str | None, Identifier | None] = (None, None)
    for address in proof.addresses:
        holder = await store.holder(transaction, address.canonical)
        arrival = rules.on_arrival(holder)
        if holder is None or arrival is Arrival.NEWCOMER:
            continue
        if arrival is Arrival.HOLDER:
            return holder.user_id, None
        if claimed == (None, None):
            claimed = holder.user_id, address
    return claimed

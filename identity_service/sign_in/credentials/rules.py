"""Proof wins over claim: whose an address is once somebody shows that it is theirs.

Anybody may sign up with an address that is not theirs, and wait in that account until its owner
comes (pre-hijacking: Sudhodanan and Paverd, USENIX Security 2022). So a claim holds until the
address is proven, and whatever it had opened by then is shut:

- who holds nothing but the claim loses the account to who proves the address;
- who has proven something else keeps the account, and loses the address;
- an account that nobody was ever in waits for who proves its address: an administrator made it.

An address that its holder has proven stays theirs, whoever proves it again is let in to them.
"""

import enum
from typing import NamedTuple


class Holder(NamedTuple):
    """Who has an address, and what their account stands on."""

    user_id: str
    proven: bool
    """Whether they have proven the address."""
    otherwise_proven: bool
    """Whether they have proven something else: another address, or who they are to an issuer."""
    opened: bool
    """Whether anybody was ever in the account, or has a password that leads there."""
    deleted: bool


class Arrival(enum.Enum):
    """Where somebody belongs who comes with nothing but the proof of an address."""

    NEWCOMER = enum.auto()
    """Nowhere yet: they get an account of their own."""
    HOLDER = enum.auto()
    """In the account that has the address, as it is."""
    RECLAIMED = enum.auto()
    """In the account that has the address, once everything that its claim had opened is shut."""


class Linking(enum.Enum):
    """What becomes of an address that somebody proves from within their own account."""

    KEEP = enum.auto()
    """It is theirs already."""
    PROVE = enum.auto()
    """They had claimed it, and have proven it now."""
    ADD = enum.auto()
    """Nobody had it."""
    TAKE = enum.auto()
    """It passes to them from somebody who had only claimed it."""
    REFUSE = enum.auto()
    """It stays somebody else's."""


def on_arrival(holder: Holder | None) -> Arrival:
    """Where who proves an address belongs, if they are known by nothing else."""
    if holder is None:
        return Arrival.NEWCOMER
    if holder.proven:
        return Arrival.HOLDER
    if holder.deleted or holder.otherwise_proven:
        return Arrival.NEWCOMER
    return Arrival.RECLAIMED if holder.opened else Arrival.HOLDER


def on_linking(holder: Holder | None, user_id: str) -> Linking:
    """What becomes of an address that this person proves."""
    if holder is None:
        return Linking.ADD
    if holder.user_id == user_id:
        return Linking.KEEP if holder.proven else Linking.PROVE
    if holder.proven:
        return Linking.REFUSE
    # Whom it waits for signs in to it; taken away, nobody could.
    waits = not holder.opened and not holder.deleted
    return Linking.REFUSE if waits else Linking.TAKE

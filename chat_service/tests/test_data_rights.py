"""What the service knows of a person is told to them, becomes another's, or goes."""

import psycopg

from chassis.testing import House
from chat_service.tests.conftest import NewServer, Person, Server
from meno.access.v1.account_feed_service_pb2 import AccountEvent
from meno.access.v1.data_rights_pb2 import ExportUserDataRequest

TABLES = ("chats", "chat_messages", "answer_steps")


async def asked(server: Server) -> Person:
    """Somebody with a question and its answer."""
    person = server.person()
    chat = await server.chat(person)
    async for _ in server.ask(person, chat, "Why is the sea salty?"):
        continue
    return person


def rows(database_url: str, person: Person) -> dict[str, int]:
    """How many rows of each table name somebody."""
    counts = {}
    with psycopg.connect(database_url) as connection:
        for table in TABLES:
            count = connection.execute(
                f"SELECT count(*) FROM {table} WHERE user_id = %s", [person.user_id]
            ).fetchone()
            counts[table] = count[0] if count else 0
    return counts


async def test_a_person_is_told_their_chats_and_nobody_elses(house: House, server: Server) -> None:
    await asked(server)
    person = await asked(server)
    call = server.data_rights.ExportUserData(ExportUserDataRequest(user_id="me"), **person.auth)
    *records, last = [step async for step in call]
    told = [step.record for step in records]
    assert {record.fields["user_id"] for record in told} == {person.user_id}
    assert [record.fields["text"] for record in told if record.collection == "chat_messages"] == [
        "Why is the sea salty?",
        "It is so.",
    ]
    assert all("fencing_token" not in record.fields for record in told)
    assert "chat_messages.fencing_token" in last.done.withheld
    entry = await house.until_told("audit_entry")
    assert entry.body["action"] == "AUDIT_ACTION_USER_DATA_EXPORTED"


async def test_who_is_erased_leaves_nothing_and_a_receipt(
    house: House, server: Server, database_url: str
) -> None:
    person, bystander = await asked(server), await asked(server)
    others = rows(database_url, bystander)
    house.feed.append(user_erased=AccountEvent.UserErased(user_id=person.user_id))
    receipt = await house.until_told("erasure")
    assert rows(database_url, person) == dict.fromkeys(TABLES, 0)
    assert rows(database_url, bystander) == others
    assert (receipt.body["user_id"], receipt.body["rows"]) == (person.user_id, sum(others.values()))


async def test_what_was_a_guests_is_whose_the_guest_turns_out_to_be(
    house: House, new_server: NewServer, database_url: str
) -> None:
    server: Server = await new_server()
    guest, person = await asked(server), await asked(server)
    hers, theirs = rows(database_url, person), rows(database_url, guest)
    merged = AccountEvent.UserMerged(user_id=guest.user_id, into_user_id=person.user_id)
    house.feed.append(user_merged=merged)
    # Events are applied in order: the receipt of another erasure tells that the merge is done.
    house.feed.append(user_erased=AccountEvent.UserErased(user_id=server.person().user_id))
    await house.until_told("erasure")
    assert rows(database_url, guest) == dict.fromkeys(TABLES, 0)
    assert rows(database_url, person) == {table: hers[table] + theirs[table] for table in TABLES}

"""Exports, erasures and guest merges of the data of chat_service."""

from chassis.testing import TestEnvironment, execute_sql
from chat_service.tests.conftest import NewServer, Server, User
from meno.access.v1.data_rights_pb2 import ExportUserDataRequest
from meno.access.v1.resources_pb2 import AccountEvent

TABLES = ("chats", "chat_messages", "answer_steps")


async def user_with_answer(server: Server) -> User:
    """Returns a user with one question and its answer."""
    user = server.user()
    chat = await server.chat(user)
    async for _ in server.ask(user, chat, "Why is the sea salty?"):
        continue
    return user


def rows(database_url: str, user: User) -> dict[str, int]:
    """Returns the number of rows in each table that belong to a user."""
    counts = {}
    for table in TABLES:
        query = f"SELECT count(*) FROM {table} WHERE user_id = %s"
        [[counts[table]]] = execute_sql(database_url, query, user.user_id)
    return counts


async def test_an_export_contains_all_rows_of_the_user_and_no_others(
    env: TestEnvironment, server: Server
) -> None:
    await user_with_answer(server)
    user = await user_with_answer(server)
    call = server.data_rights.ExportUserData(ExportUserDataRequest(user_id="me"), **user.auth)
    *records, last = [step async for step in call]
    exported = [step.record for step in records]
    assert {record.fields["user_id"] for record in exported} == {user.user_id}
    assert [record.fields["text"] for record in exported if record.collection == "chat_messages"] == [
        "Why is the sea salty?",
        "It is so.",
    ]
    assert all("fencing_token" not in record.fields for record in exported)
    assert "chat_messages.fencing_token" in last.done.excluded_columns
    entry = await env.wait_for_outbox("audit_entry")
    assert entry.body["action"] == "AUDIT_ACTION_USER_DATA_EXPORTED"


async def test_an_erasure_deletes_all_rows_of_the_user_and_sends_a_receipt(
    env: TestEnvironment, server: Server, database_url: str
) -> None:
    user, bystander = await user_with_answer(server), await user_with_answer(server)
    others = rows(database_url, bystander)
    env.feed.append(user_erased=AccountEvent.UserErased(user_id=user.user_id))
    receipt = await env.wait_for_outbox("erasure")
    assert rows(database_url, user) == dict.fromkeys(TABLES, 0)
    assert rows(database_url, bystander) == others
    assert (receipt.body["user_id"], receipt.body["rows"]) == (user.user_id, sum(others.values()))


async def test_an_erasure_reads_no_stored_responses_to_other_users(
    env: TestEnvironment, server: Server, database_url: str
) -> None:
    user, bystander = server.user(), server.user()
    for asking in (user, bystander):
        chat = await server.chat(asking)
        async for _ in server.ask(asking, chat, f"Who is {user.user_id}?", request_id=chat.chat_id):
            continue
    env.feed.append(user_erased=AccountEvent.UserErased(user_id=user.user_id))
    await env.wait_for_outbox("erasure")
    # A search of all responses for the id would also delete the response to the bystander.
    remaining = execute_sql(database_url, "SELECT principal FROM idempotency_keys")
    assert remaining == [(bystander.user_id,)]


async def test_a_merge_moves_all_rows_of_a_guest_to_the_user(
    env: TestEnvironment, new_server: NewServer, database_url: str
) -> None:
    server: Server = await new_server()
    guest, user = await user_with_answer(server), await user_with_answer(server)
    user_rows, guest_rows = rows(database_url, user), rows(database_url, guest)
    merged = AccountEvent.UserMerged(user_id=guest.user_id, into_user_id=user.user_id)
    env.feed.append(user_merged=merged)
    # Events are applied in order, so the receipt of a later erasure proves that the merge is done.
    env.feed.append(user_erased=AccountEvent.UserErased(user_id=server.user().user_id))
    await env.wait_for_outbox("erasure")
    assert rows(database_url, guest) == dict.fromkeys(TABLES, 0)
    assert rows(database_url, user) == {table: user_rows[table] + guest_rows[table] for table in TABLES}

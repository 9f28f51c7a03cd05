"""The RPC of ClassService that imports a roster."""

import asyncio

from chassis.calls import Context, caller
from chassis.database import Database
from chassis.idempotency import write
from identity_service.classes.rosters import commands
from identity_service.classes.rosters.messages import to_message
from meno.identity.v1.class_service_pb2 import ImportRosterRequest
from meno.identity.v1.resources_pb2 import RosterImportResult


class RosterServicer:
    """Handles the import of rosters."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # One import at a time, because a roster takes a hundred times the memory of other calls.
        self._lock = asyncio.Lock()

    async def ImportRoster(self, request: ImportRosterRequest, context: Context) -> RosterImportResult:
        async with self._lock:
            roster = await commands.read_roster(request.archive)
            async with write(self._database) as transaction:
                if request.dry_run:
                    plan = await commands.compare_roster(transaction, roster)
                else:
                    by_user_id = caller().user_id
                    plan = await commands.import_roster(transaction, roster, request.etag, by_user_id)
                message = await asyncio.to_thread(to_message, plan, applied=not request.dry_run)
                return transaction.respond(message)

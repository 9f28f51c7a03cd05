"""Uploads as programs and browsers send them over HTTP."""

import httpx2 as httpx

from tests.installation import Installation
from tests.local_stack import GUARD_SECONDS


async def test_a_plus_in_a_query_is_a_space(installation: Installation) -> None:
    teacher = await installation.sign_up_teacher()
    class_id = (await installation.create_class(teacher)).class_id
    url = f"http://localhost:{installation.layout.port}/v1/classes/{class_id}/materials:upload"
    headers = {"authorization": f"Bearer {teacher.tokens.access_token}", "content-type": "text/markdown"}
    async with httpx.AsyncClient(timeout=GUARD_SECONDS) as client:
        reply = await client.post(f"{url}?fileName=My+notes.md", content=b"Water is wet.", headers=headers)
    assert reply.json()["title"] == "My notes"

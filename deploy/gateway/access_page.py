"""`python -m deploy.gateway.access_page`: generates the tables of docs/access.md from the contracts.

Text outside the markers is written by hand and is kept.
"""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from deploy.gateway.contracts import Rpc, descriptors, rpcs
from deploy.gateway.openapi.access_rules import access_rules

PAGE = Path(__file__).resolve().parents[2] / "docs" / "access.md"

_BEGIN, _END = "<!-- generated: begin -->\n", "<!-- generated: end -->\n"


def update(page: str, descriptor_set: Path) -> str:
    """Returns the page with current tables. Raises ValueError if the page lacks the markers."""
    head, begin, rest = page.partition(_BEGIN)
    _, end, tail = rest.partition(_END)
    if not (begin and end):
        raise ValueError("the page has no markers for the tables")
    return f"{head}{begin}\n{_tables(descriptor_set)}\n{end}{tail}"


def _tables(descriptor_set: Path) -> str:
    """Returns a table for each gRPC service."""
    by_service = groupby(rpcs(descriptor_set), lambda rpc: rpc.grpc_service)
    return "\n".join("\n".join(_table(name, [*found])) for name, found in by_service) + "\n"


def _table(grpc_service: str, found: list[Rpc]) -> Iterator[str]:
    yield f"### {grpc_service.removeprefix('meno.')}\n"
    yield "| RPC | callers | rate limit |"
    yield "|---|---|---|"
    yield from (f"| {rpc.name} | {access_rules(rpc)} | {_limit(rpc)} |" for rpc in found)
    yield ""


def _limit(rpc: Rpc) -> str:
    limits = {"user": rpc.limit.per_person_per_minute, "address": rpc.limit.per_address_per_minute}
    return ", ".join(f"{calls} a minute for each {key}" for key, calls in limits.items() if calls)


if __name__ == "__main__":
    PAGE.write_text(update(PAGE.read_text(), descriptors()))

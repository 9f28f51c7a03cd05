"""`python -m deploy.gateway.access_page`: writes the tables of docs/access.md anew, from the contracts.

What stands outside of its markers is written by hand, and kept.
"""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from deploy.gateway.contracts import Rpc, descriptors, rpcs
from deploy.gateway.openapi.callers import ways

PAGE = Path(__file__).resolve().parents[2] / "docs" / "access.md"

_BEGIN, _END = "<!-- generated: begin -->\n", "<!-- generated: end -->\n"


def current(page: str, descriptor_set: Path) -> str:
    """The page, with the tables as the contracts have them now."""
    head, begin, rest = page.partition(_BEGIN)
    _, end, tail = rest.partition(_END)
    if not (begin and end):
        raise ValueError("the page has no place for the tables")
    return f"{head}{begin}\n{_tables(descriptor_set)}\n{end}{tail}"


def _tables(descriptor_set: Path) -> str:
    """One table for each gRPC service."""
    of_service = groupby(rpcs(descriptor_set), lambda rpc: rpc.grpc_service)
    return "\n".join("\n".join(_table(name, [*found])) for name, found in of_service) + "\n"


def _table(grpc_service: str, found: list[Rpc]) -> Iterator[str]:
    yield f"### {grpc_service.removeprefix('meno.')}\n"
    yield "| RPC | who may call | at most, a minute |"
    yield "|---|---|---|"
    yield from (f"| {rpc.name} | {ways(rpc)} | {_limit(rpc)} |" for rpc in found)
    yield ""


def _limit(rpc: Rpc) -> str:
    limits = {"a person": rpc.limit.per_person_per_minute, "an address": rpc.limit.per_address_per_minute}
    return ", ".join(f"{calls} {counted}" for counted, calls in limits.items() if calls)


if __name__ == "__main__":
    PAGE.write_text(current(PAGE.read_text(), descriptors()))

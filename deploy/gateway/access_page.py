"""Generates the tables of `docs/access.md` from the contracts: the permitted callers of every RPC.

Text outside the markers is written by hand and is kept.
"""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from deploy.gateway.contracts import Rpc, rpcs
from deploy.gateway.generated_pages import replace_generated
from deploy.gateway.openapi.access_rules import access_rules

PAGE = Path(__file__).resolve().parents[2] / "docs" / "access.md"


def update(page: str, descriptor_set: Path) -> str:
    """Returns the page with current tables. Raises ValueError if the page lacks the markers."""
    return replace_generated(page, _tables(descriptor_set))


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
    limits = {"user": rpc.limit.per_user_per_minute, "address": rpc.limit.per_address_per_minute}
    return ", ".join(f"{calls} a minute for each {key}" for key, calls in limits.items() if calls)

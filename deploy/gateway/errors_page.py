"""Generates the tables of `docs/errors.md` from the contracts: every error reason with its status code."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from google.rpc.code_pb2 import Code

from deploy.gateway.error_reasons import ErrorReason, error_reasons
from deploy.gateway.generated_pages import replace_generated

PAGE = Path(__file__).resolve().parents[2] / "docs" / "errors.md"


def update(page: str, descriptor_set: Path) -> str:
    """Returns the page with its current tables. Raises ValueError if the page has no markers."""
    packages = groupby(error_reasons(descriptor_set), lambda reason: reason.package)
    tables = ["\n".join(_table(package, reasons)) for package, reasons in packages]
    return replace_generated(page, "\n\n".join(tables) + "\n")


def _table(package: str, reasons: Iterable[ErrorReason]) -> Iterator[str]:
    yield f"### {package.removeprefix('meno.')}\n"
    yield "| reason | status code | meaning, remedy and metadata |"
    yield "|---|---|---|"
    for reason in reasons:
        # The example of a reason is for readers of the contract; the page has the format once.
        meaning = " ".join(reason.comment.partition("Example:")[0].split())
        yield f"| `{reason.name}` | {Code.Name(reason.code)} | {meaning} |"

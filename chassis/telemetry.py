"""Structured logs: one JSON object a line on the standard error, under the request's id."""

import logging
import re
import sys

# structlog imports rich wherever it finds it, which is 5 MiB that lines of JSON do not need.
_has_rich = "rich" in sys.modules
if not _has_rich:
    sys.modules["rich"] = None  # type: ignore[assignment]
import structlog  # noqa: E402

if not _has_rich:
    del sys.modules["rich"]


# Where PostgreSQL quotes the values of a row: `DETAIL:  Key (email)=(…) already exists.`
_QUOTES_ROWS = re.compile(r"^(DETAIL|CONTEXT):.*$", re.MULTILINE)


def configure(service: str, level: str = "INFO") -> None:
    """Sends structlog's and the standard library's records to the standard error as JSON."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact_row_values,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processor=structlog.processors.JSONRenderer()
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def redact_row_values(
    logger: object, method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Leaves out of a traceback what PostgreSQL quotes of people's data."""
    if "exception" in event:
        event["exception"] = _QUOTES_ROWS.sub(r"\1: left out", event["exception"])
    return event

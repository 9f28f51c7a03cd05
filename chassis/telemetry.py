"""Structured logs: one JSON object per line on standard error, with the request id of the call."""

import logging
import re
import sys

# structlog imports these if they are installed. JSON logs do not need them, and they take 6 MiB of memory.
_UNNEEDED = {"rich", "greenlet"} - sys.modules.keys()
sys.modules.update(dict.fromkeys(_UNNEEDED))  # type: ignore[arg-type]
import structlog

for _name in _UNNEEDED:
    del sys.modules[_name]

# Modules that log import these from here, so that structlog is never imported in another way.
bind_contextvars = structlog.contextvars.bind_contextvars
get_logger = structlog.get_logger

# The lines in which PostgreSQL quotes values of a row: `DETAIL:  Key (email)=(…) already exists.`
_LINES_WITH_VALUES = re.compile(r"^(DETAIL|CONTEXT):.*$", re.MULTILINE)


def configure(service: str, level: str = "INFO") -> None:
    """Configures structlog and the standard library to log JSON to standard error."""
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
    """Removes the row values (personal data) that PostgreSQL quotes from a traceback."""
    if "exception" in event:
        event["exception"] = _LINES_WITH_VALUES.sub(r"\1: redacted", event["exception"])
    return event

"""Rules of ingestion: progress, the limit of attempts, and messages for teachers."""

EXTRACTING, CHUNKING, EMBEDDING, FINALIZING = "EXTRACTING", "CHUNKING", "EMBEDDING", "FINALIZING"
"""Stages of processing, in order."""

MAX_ATTEMPTS_WITHOUT_PROGRESS = 3
"""Processing fails after this number of consecutive attempts without progress."""

_PERCENT = {EXTRACTING: 2, CHUNKING: 10, EMBEDDING: 20, FINALIZING: 95}

_FAILURE_MESSAGES = {
    "FILE_CORRUPT": "The file is damaged. Save it again in the program that created it, then upload it again.",
    "FILE_ENCRYPTED": "The file is protected by a password. Remove the password, then upload the file again.",
    "NO_TEXT": "The file contains no text. If it consists of pictures, upload it with a text layer.",
    "TEXT_TOO_LONG": "The text is longer than this installation permits. Split the file and upload the parts.",
    "LIMITS_EXCEEDED": "Reading the file takes more time or memory than this installation permits. Split the file "
    "or save it in another format, then upload it again.",
    "ENCODING_UNKNOWN": "The character encoding of the file is unknown. Save the file as UTF-8, then upload it again.",
    "NOT_TEXT": "The file is not a text file. Upload it with the file extension of its format.",
    "INTERNAL": "An internal error occurred. Try again. If it fails again, contact the operator.",
}
# Causes that share the reason of another one and have their own message.
_REASONS = {
    "LIMITS_EXCEEDED": "TEXT_TOO_LONG",
    "ENCODING_UNKNOWN": "FILE_CORRUPT",
    "NOT_TEXT": "FILE_CORRUPT",
}


def progress_percent(stage: str, done: int = 0, total: int = 1) -> int:
    """Returns the progress at a stage, from 0 to 100, after `done` of `total` parts of the stage."""
    if stage != EMBEDDING:
        return _PERCENT[stage]
    span = _PERCENT[FINALIZING] - _PERCENT[EMBEDDING]
    return _PERCENT[EMBEDDING] + span * min(done, total) // max(total, 1)


def failure_reason(cause: str) -> str:
    """Returns the name of the FailureReason of a cause, without its prefix."""
    return _REASONS.get(cause, cause)


def failure_message(cause: str) -> str:
    """Returns the message for the teacher. Raises KeyError for an unknown cause."""
    return _FAILURE_MESSAGES[cause]

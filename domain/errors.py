"""The one tree of errors that a caller may see, each with a stable code.

Owns every error that crosses from the domain to a caller. A code, once published, never changes its meaning; the message
is fit to show to a person and says what to do; `path` points into the input that was refused. Anything that is not a
`ShoalError` is a defect: the API masks it and logs it with an identifier.

Invariant: codes are unique. Held by `tests/domain/test_errors.py`.
"""

from __future__ import annotations

from typing import ClassVar

PathPart = str | int


class ShoalError(Exception):
    """Something was refused. `path` leads from the input's root to the part at fault.

    In a rule's text, `line` and `column` (from 1) say where that is.
    """

    code: ClassVar[str] = "SHOAL_ERROR"

    def __init__(self, message: str, *, path: tuple[PathPart, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.line: int | None = None
        self.column: int | None = None

    def at(self, *prefix: PathPart) -> ShoalError:
        """The same error, seen from further out: `prefix` is put before its path. Returns itself, for `raise e.at(...)`."""
        self.path = (*prefix, *self.path)
        return self


class InvalidValue(ShoalError):
    """A value that its field, or its input, cannot hold."""

    code = "INVALID_VALUE"


class InvalidField(ShoalError):
    """A field definition that cannot be: a reserved key, options on a type that has none."""

    code = "INVALID_FIELD"


class UnknownField(ShoalError):
    """No field of this key in the account."""

    code = "UNKNOWN_FIELD"


class UnknownAudience(ShoalError):
    """No group or segment of this name or identifier in the account, for a rule to refer to."""

    code = "UNKNOWN_AUDIENCE"

    def __init__(self, message: str, *, sought: str | None = None, path: tuple[PathPart, ...] = ()) -> None:
        super().__init__(message, path=path)
        self.sought = sought
        """The name of the segment that was looked for, where it was one."""


class BrokenSegment(ShoalError):
    """A rule refers to a segment that follows its own rule no more: what it would select cannot be told."""

    code = "BROKEN_SEGMENT"


class RuleSyntaxError(ShoalError):
    """A rule text that does not parse: where (1-based line and column), and what could have stood there."""

    code = "RULE_SYNTAX"

    def __init__(
        self,
        message: str,
        *,
        line: int,
        column: int,
        expected: tuple[str, ...] = (),
        path: tuple[PathPart, ...] = (),
    ) -> None:
        super().__init__(message, path=path)
        self.line: int = line
        self.column: int = column
        self.expected = expected


class InvalidRule(ShoalError):
    """A rule that reads well and means nothing: an operator that the field's type lacks, an empty operand list."""

    code = "INVALID_RULE"


class LimitExceeded(ShoalError):
    """More than may be asked at once; the message names the limit."""

    code = "LIMIT_EXCEEDED"


class TooManyGroups(ShoalError):
    """A contact may be in at most so many static groups."""

    code = "TOO_MANY_GROUPS"


class InvalidCursor(ShoalError):
    """A cursor that was not made here, or not for this audience or list."""

    code = "INVALID_CURSOR"


class FeedWasReset(ShoalError):
    """What happened since a cursor can no longer be told by the log."""

    code = "FEED_RESET"


class NotFound(ShoalError):
    """Nothing of this identifier in the caller's account."""

    code = "NOT_FOUND"


class DuplicateKey(ShoalError):
    """Another contact of the account has this key."""

    code = "DUPLICATE_KEY"


class NameTaken(ShoalError):
    """Another group, segment or field has this name or key."""

    code = "NAME_TAKEN"


class VersionConflict(ShoalError):
    """The thing was edited since the version that the caller had read."""

    code = "VERSION_CONFLICT"


class FieldInUse(ShoalError):
    """Segments use this field; deleting or retyping it would break them."""

    code = "FIELD_IN_USE"


class AudienceInUse(ShoalError):
    """The rules of segments, or campaigns, refer to this group or segment; deleting it would leave them without a meaning."""

    code = "AUDIENCE_IN_USE"


class InvalidTemplate(ShoalError):
    """A message with placeholders that cannot be read: `line` and `column` say where."""

    code = "INVALID_TEMPLATE"


class InvalidState(ShoalError):
    """What was asked for cannot be done with the thing as it is: to edit a campaign that was launched, say."""

    code = "INVALID_STATE"


class ChannelNotReady(ShoalError):
    """The account has not said yet how messages leave by this channel."""

    code = "CHANNEL_NOT_READY"


class ForbiddenTarget(ShoalError):
    """An address that messages may not be sent to: one within the network of the server."""

    code = "FORBIDDEN_TARGET"


class ValueChanged(ShoalError):
    """The value was changed since by somebody else, and stays."""

    code = "VALUE_CHANGED"


class MutationIdReused(ShoalError):
    """A `clientMutationId` came again with another input, or while its first use is still being carried out."""

    code = "MUTATION_ID_REUSED"


class UnreadableFile(ShoalError):
    """A file that is no table of the kind that was asked for: not text, empty, broken; nothing of it was taken."""

    code = "UNREADABLE_FILE"


class InvalidMapping(ShoalError):
    """Columns of a file that cannot be led to fields as was asked: no such column, one field for two of them."""

    code = "INVALID_MAPPING"


class Unauthenticated(ShoalError):
    """No key, or one that is not known."""

    code = "UNAUTHENTICATED"


class Unavailable(ShoalError):
    """A part that the answer needs (database, engine) is not reachable now; the same request may succeed later."""

    code = "UNAVAILABLE"


class StartupError(Exception):
    """Shoal cannot start, or cannot go on, until something outside it is put right; the message says what.

    It is for whoever runs the program and never crosses to a caller of the API, so it stands beside the tree.
    """

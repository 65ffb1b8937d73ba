"""Rules as text: parsing, and the one canonical text of each rule.

Owns RULES.md section 4. The grammar is `grammar.lark` with one phrase for each row of the table of operators, so an
operator reads and prints as soon as it has a row. What the words mean is `build.py`'s. Refuses what does not parse by
`RuleSyntaxError`, with line, column, and what could have stood there in people's words; no text, however long or nested,
ends in anything but a `ShoalError`.

Invariant: `parse(to_text(rule)) == rule`. Held by `tests/domain/rules/test_text.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, NoReturn

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedInput, UnexpectedToken, v_args

from domain.errors import LimitExceeded, RuleSyntaxError
from domain.fields import FieldRegistry, Settings
from domain.rules.build import (
    NamedAudience,
    Place,
    Unbound,
    UnboundAll,
    UnboundAny,
    UnboundCondition,
    UnboundMembership,
    UnboundNot,
    build,
)
from domain.rules.canonical import AUDIENCE_WORDS, KEY_WORDS, to_text
from domain.rules.following import SYMBOLS, OpenCondition, terminal
from domain.rules.naming import NOBODY, Audiences
from domain.rules.operators import Operator, Reads, Row, Shape
from domain.rules.slips import meant
from domain.rules.tree import AudienceKind, Limits, Quantifier, Rule

__all__ = ["begun", "parse", "parse_unbound", "terminal", "to_text"]


def parse(
    text: str, fields: FieldRegistry, settings: Settings, limits: Limits, audiences: Audiences = NOBODY
) -> Rule:
    """The rule that `text` says."""
    return build(parse_unbound(text, limits, fields), fields, settings, limits, audiences)


def parse_unbound(text: str, limits: Limits, fields: FieldRegistry) -> Unbound:
    """What `text` says, before its names and operands mean anything. What does not parse is refused by what the fields have."""
    if len(text) > limits.text:
        raise LimitExceeded(
            f"A rule's text has {limits.text:,} characters at most; this one has {len(text):,}."
        )
    try:
        said: Unbound = _parser().parse(text)  # type: ignore[assignment]
    except UnexpectedInput as error:
        _refuse(text, error, fields)
    return said


def begun(text: str) -> tuple[Sequence[Token], AbstractSet[str]] | None:
    """The tokens of a text with which a rule can begin, and the terminals that can follow; None where no rule begins like that."""
    parser = _parser().parse_interactive(text)
    try:
        tokens = list(parser.iter_parse())
    except (UnexpectedInput, RuleSyntaxError):
        return None
    return tokens, parser.accepts()  # type: ignore[no-untyped-call] # lark leaves it untyped


# ---- the grammar ---------------------------------------------------------------------------------------------------


def _grammar() -> str:
    frame = files("domain.rules").joinpath("grammar.lark").read_text("utf-8")
    phrases = [
        " ".join(
            [
                *map(terminal, operator.value.opening),
                _operands(operator.value),
                *map(terminal, operator.value.closing),
                "->",
                operator.name.lower(),
            ]
        )
        for operator in Operator
    ]
    # Before keys and numbers, but only as whole words: `not_yet` is a key.
    words = [f"{terminal(word)}.3: /{word}(?![A-Za-z0-9_])/i" for word in sorted(KEY_WORDS | AUDIENCE_WORDS)]
    symbols = [f'{terminal}: "{symbol}"' for symbol, terminal in SYMBOLS.items()]
    return "\n".join([frame, "phrase: " + "\n      | ".join(phrases), *words, *symbols])


_OPERANDS = {Shape.NONE: "", Shape.ONE: "one", Shape.TWO: "two", Shape.MANY: "many"}


def _operands(row: Row) -> str:
    """The part of the grammar that an operator's operands are."""
    match row.reads:
        case Reads.SPAN:
            return "span"
        case Reads.PERIOD:
            return "period"
        case Reads.MONTH:
            return "month"
        case _:
            return _OPERANDS[row.shape]


@cache
def _parser() -> Lark:
    return Lark(_grammar(), parser="lalr", lexer="contextual", transformer=_Reader(), maybe_placeholders=True)


# ---- what the grammar's parts become -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Value:
    value: Any
    place: Place


def _place(token: Token) -> Place:
    return Place(line=token.line, column=token.column)


_Phrase = tuple[Operator, list[_Value]]


def _phrase(operator: Operator) -> Callable[..., _Phrase]:
    def said(_reader: _Reader, values: list[_Value] | None = None) -> _Phrase:
        return operator, values or []

    return said


@v_args(inline=True)
class _Reader(Transformer[Token, Any]):
    """Makes the unbound rule while the parser runs: no tree of the grammar's is ever built."""

    def start(self, rule: Unbound) -> Unbound:
        return rule

    def any_of(self, *children: Unbound) -> UnboundAny:
        return UnboundAny(children=children)

    def all_of(self, *children: Unbound) -> UnboundAll:
        return UnboundAll(children=children)

    def negated(self, child: Unbound) -> Unbound:
        # Dropped here already, so that a long row of `not` makes no deep tree.
        return child.child if isinstance(child, UnboundNot) else UnboundNot(child=child)

    # lark calls by position.
    def condition(self, subject: _Value, phrase: _Phrase, missing: bool | None) -> UnboundCondition:  # noqa: FBT001
        operator, values = phrase
        return UnboundCondition(
            field=subject.value,
            operator=operator,
            operands=[value.value for value in values],
            include_missing=missing,
            place=subject.place,
            operand_places=[value.place for value in values],
        )

    def in_any(self, *audiences: NamedAudience) -> UnboundMembership:
        return _membership(Quantifier.ANY, audiences)

    def in_all(self, *audiences: NamedAudience) -> UnboundMembership:
        return _membership(Quantifier.ALL, audiences)

    def in_none(self, *audiences: NamedAudience) -> UnboundMembership:
        return _membership(Quantifier.NONE, audiences)

    def group(self, name: Token) -> NamedAudience:
        return NamedAudience(kind=AudienceKind.GROUP, name=_string(name), place=_place(name))

    def segment(self, name: Token) -> NamedAudience:
        return NamedAudience(kind=AudienceKind.SEGMENT, name=_string(name), place=_place(name))

    def subject(self, token: Token) -> _Value:
        return _Value(token.strip("`"), _place(token))

    def one(self, value: _Value) -> list[_Value]:
        return [value]

    def two(self, start: _Value, end: _Value) -> list[_Value]:
        return [start, end]

    def many(self, *values: _Value) -> list[_Value]:
        return list(values)

    def span(self, count: Token, unit: Token) -> list[_Value]:
        return [_Value(f"{count} {unit}", _place(count))]

    def month(self, number: Token) -> list[_Value]:
        return [_Value(_number(number), _place(number))]

    def period(self, unit: Token) -> list[_Value]:
        return [_Value(str(unit), _place(unit))]

    def value(self, token: Token) -> _Value:
        return _Value(_READERS[token.type](token), _place(token))

    def including(self) -> bool:
        return True

    def excluding(self) -> bool:
        return False


for _operator in Operator:
    setattr(_Reader, _operator.name.lower(), v_args(inline=True)(_phrase(_operator)))


def _membership(quantifier: Quantifier, audiences: Sequence[NamedAudience]) -> UnboundMembership:
    return UnboundMembership(quantifier=quantifier, audiences=audiences, place=audiences[0].place)


_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|[\s\S])")
_ESCAPED = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


_KNOWN_ESCAPES = (*(f"“\\{letter}”" for letter in _ESCAPED), "“\\uXXXX”")


def _string(token: Token) -> str:
    def unescaped(found: re.Match[str]) -> str:
        escape = found[1]
        if len(escape) == 5:
            return chr(int(escape[1:], 16))
        if escape in _ESCAPED:
            return _ESCAPED[escape]
        before = token[: found.start() + 1]
        line = token.line or 1
        column = (token.column or 1) + found.start() + 1
        if "\n" in before:
            line, column = line + before.count("\n"), len(before) - before.rfind("\n")
        raise _syntax_error(f"“\\{_short(escape)}” is no escape.", line, column, _KNOWN_ESCAPES)

    text = _ESCAPE.sub(unescaped, token[1:-1])
    # Two halves of one character, each with an escape of its own, as JSON writes those beyond U+FFFF.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if "\\u" in token else text


def _number(token: Token) -> int | float:
    # Python takes its time over integers of many thousand digits; beyond int64 the builder refuses either.
    whole = len(token) <= 40 and re.fullmatch(r"[+-]?[0-9]+", token)
    return int(token) if whole else float(token)


_READERS: dict[str, Callable[[Token], Any]] = {
    "STRING": _string,
    "NUMBER": _number,
    "MOMENT": str,
    "TRUE": lambda _: True,
    "FALSE": lambda _: False,
}


# ---- what does not parse -------------------------------------------------------------------------------------------

_IN_WORDS = {
    "KEY": "a field's key",
    "QUOTED_KEY": "a field's key",
    "STRING": "a text in double quotes",
    "NUMBER": "a number",
    "MOMENT": "a date or point in time",
    "UNIT": "a unit of time such as “days”",
    "PERIOD": "a period such as “month”",
    "LPAR": "“(”",
    "RPAR": "“)”",
    "COMMA": "“,”",
    "$END": "the end of the rule",
    **{terminal(word): f"“{word}”" for word in [*SYMBOLS, *sorted(KEY_WORDS | AUDIENCE_WORDS)]},
}


def _refuse(text: str, error: UnexpectedInput, fields: FieldRegistry) -> NoReturn:
    """Raises lark's error as ours."""
    at_end = isinstance(error, UnexpectedToken) and error.token.type == "$END"
    before = text if at_end else text[: error.pos_in_stream]
    place, said = len(before), begun(before)
    tokens, following = ((), frozenset[str]()) if said is None else said
    open_ = OpenCondition.of(tokens, fields)
    line, column = error.line, error.column
    match error:
        case UnexpectedToken() if at_end:
            line, column = text.count("\n") + 1, len(text) - text.rfind("\n")
            problem = "The rule ends too early."
        case UnexpectedCharacters(char='"') if "STRING" in following:
            problem = "This text in double quotes is never closed."
        case UnexpectedCharacters(char="`") if "KEY" in following:
            problem = "This key in back-ticks is never closed."
        case UnexpectedToken(token=str(wrong)) | UnexpectedCharacters(char=str(wrong)):
            is_none = "is no operator" if open_.wants_operator else "cannot stand here"
            problem = f"“{_short(wrong)}” {is_none}."
        case _:
            raise error
    if (instead := meant(text, open_.begins, open_.type, place)) is not None:
        problem = f"{problem} {instead}"
    if open_.wants_operator:
        those = tuple(operator.value.words for operator in open_.operators)
        has = f"“{open_.key}” ({open_.type}) has: {', '.join(those)}."
        raise _refused(f"{problem} {has}", line, column, those)
    accepts = open_.fitting(following)
    words = (words for terminal, words in _IN_WORDS.items() if terminal in accepts)
    raise _syntax_error(problem, line, column, tuple(dict.fromkeys(words)))


def _syntax_error(problem: str, line: int, column: int, expected: tuple[str, ...]) -> RuleSyntaxError:
    wanted = " or ".join(filter(None, [", ".join(expected[:-1]), *expected[-1:]]))
    return _refused(f"{problem} Expected {wanted}.", line, column, expected)


def _refused(message: str, line: int, column: int, expected: tuple[str, ...]) -> RuleSyntaxError:
    return RuleSyntaxError(
        f"Line {line}, column {column}: {message}", line=line, column=column, expected=expected
    )


def _short(text: str) -> str:
    return (text if len(text) <= 40 else f"{text[:40]}…").encode(errors="replace").decode()

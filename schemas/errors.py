"""Errors whose message is meant for the person at the keyboard."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from pathlib import Path


class InputError(Exception):
    """Input that cannot be used, said in one sentence.

    Command lines print the message alone, without a traceback, and exit with code 2.

    Args:
        reason: What is wrong, as a clause: "expected a list, found a string".
        file: The file that holds it.
        row: Its row, counted from 0, or a name for it.
        field: Its field or column.
    """

    def __init__(
        self,
        reason: str,
        *,
        file: Path | str | None = None,
        row: int | str | None = None,
        field: str | None = None,
    ) -> None:
        self.reason = reason
        self.file = file
        self.row = row
        self.field = field
        where = [str(file)] if file is not None else []
        if row is not None:
            where.append(f"row {row}")
        if field is not None:
            where.append(f"field {field!r}")
        text = ": ".join([", ".join(where), reason]) if where else reason
        super().__init__(printable(text))

    def __reduce__(self) -> tuple[object, ...]:
        # Crosses process borders with its fields, which the default would lose.
        return _rebuild, (type(self), self.reason, self.file, self.row, self.field)


def printable(text: str) -> str:
    """The text on one line, safe to show in a terminal whatever it holds."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _rebuild(
    kind: type[InputError],
    reason: str,
    file: Path | str | None,
    row: int | str | None,
    field: str | None,
) -> InputError:
    return kind(reason, file=file, row=row, field=field)


def require_one_of(field: str, value: str, known: Sequence[str]) -> None:
    """See to it that a setting has one of its values.

    Raises:
        InputError: If it does not.
    """
    if value not in known:
        raise InputError(f"{field} is one of {', '.join(known)}, not {value!r}", field=field)


def require_number(
    field: str,
    value: object,
    *,
    whole: bool = False,
    above: float | None = None,
    least: float | None = None,
) -> None:
    """See to it that a setting is a finite number; a truth value is none.

    Args:
        field: The setting.
        value: What it is.
        whole: Whether it counts something.
        above: What it must be greater than.
        least: What it must not be less than.

    Raises:
        InputError: If it is not.
    """
    if isinstance(value, Integral if whole else Real) and not isinstance(value, bool):
        number = float(value)  # type: ignore[arg-type]
        bounded = (above is None or number > above) and (least is None or number >= least)
        if math.isfinite(number) and bounded:
            return
    kind = "a whole number" if whole else "a number"
    bound = f" above {above:g}" if above is not None else ""
    bound += f" of at least {least:g}" if least is not None else ""
    raise InputError(f"{field} is {kind}{bound}, not {value!r}", field=field)

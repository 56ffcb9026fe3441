"""What is odd about data, a recipe or a submission: errors, which stop a run, apart from remarks, which do not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from jstyle.errors import InputError
from jstyle.events import Event, Failure, Remark

NAMED = 5
"""So many of one kind are named, the others counted."""


@dataclass
class Findings:
    """Each entry is one line that names the place."""

    errors: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def add(self, others: Findings) -> None:
        """Take over what others have found."""
        self.errors += others.errors
        self.remarks += others.remarks

    def add_errors(self, lines: Sequence[str]) -> None:
        """Errors of one kind."""
        self.errors += sum_up(lines)

    def add_remarks(self, lines: Sequence[str]) -> None:
        """Remarks of one kind."""
        self.remarks += sum_up(lines)

    def report(self) -> Iterator[Event]:
        """Say everything. Raises InputError with the last of the errors, where there are any."""
        for line in self.remarks:
            yield Remark(f"remark: {line}")
        for line in self.errors[:-1]:
            yield Failure("", line)
        if self.errors:
            raise InputError(self.errors[-1])

    def raise_errors(self) -> None:
        """Raises InputError, with the first error and the number of the others, where there is one."""
        if self.errors:
            others = f" (and {len(self.errors) - 1} more)" if len(self.errors) > 1 else ""
            raise InputError(f"{self.errors[0]}{others}")


def sum_up(lines: Sequence[str]) -> list[str]:
    """The first of the lines, and one that says how many more there are."""
    more = len(lines) - NAMED
    return [*lines[:NAMED], f"... and {more} more of this kind"] if more > 0 else list(lines)

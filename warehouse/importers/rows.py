"""Validates rows of text column by column and keeps what is wrong with them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from warehouse.errors import InputError
from warehouse.importers.contract import (
    N_REJECTED_SHOWN,
    Origin,
    RejectedImportError,
    RejectedRow,
    printable,
)
from warehouse.importers.files import Sheet
from warehouse.records import IgnoredPart

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:+-]{0,119}$"
NAME_RULE = (
    "is not a name; use letters, digits and . _ : + - (at first a letter or digit; at most 120)."
)
MAX_NUMBER = 1e15
MAX_TEXT_LENGTH = 200

_NUMBER_PATTERN = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_UNKNOWN = pa.array(["na", "n/a", "nan", "none", "null", "<na>"])
_TRUE = {"true", "t", "yes", "y", "1", "1.0"}
_FALSE = {"false", "f", "no", "n", "0", "0.0"}

Mask = NDArray[np.bool_]
Numbers = NDArray[np.float64]
# Text by row; None where a field is empty.
Texts = NDArray[np.object_]


class Rows:
    """The rows of all files of one import, and what was found wrong with them so far.

    Columns are asked for one by one; each answer is only of use once `require_good` has let it
    pass. A row is rejected once, for what was found first.

    Parameters
    ----------
    sheets : sequence of Sheet
        At least one.
    """

    def __init__(self, sheets: Sequence[Sheet]) -> None:
        self.sheets = tuple(sheets)
        self._sheet = np.repeat(np.arange(len(sheets)), [len(sheet.lines) for sheet in sheets])
        self._lines = np.concatenate([sheet.lines for sheet in sheets])
        self._bad = np.zeros(len(self._lines), dtype=bool)
        self._rejected: list[tuple[int, RejectedRow]] = []
        # What is read otherwise than it stands there.
        self.notes: list[IgnoredPart] = []

    def __len__(self) -> int:
        """Count the rows."""
        return len(self._lines)

    def has(self, column: str) -> bool:
        """Tell whether any file has a column."""
        return any(column in sheet.columns for sheet in self.sheets)

    def sheet_of(self, row: int) -> int:
        """Return the place of the file that a row stands in."""
        return int(self._sheet[row])

    def origin(self, row: int) -> Origin:
        """Return the file and line of a row."""
        return self.sheets[self.sheet_of(row)].name, int(self._lines[row])

    # --- Rejections -------------------------------------------------------------------------

    def require_columns(self, columns: Iterable[str], remedy: str) -> None:
        """Refuse files that lack a column.

        Raises
        ------
        RejectedImportError
            Naming the columns that are missing, file by file.
        """
        wanted = tuple(columns)
        rejected = []
        for sheet in self.sheets:
            missing = [name for name in wanted if name not in sheet.columns]
            if missing:
                found = ", ".join((*sheet.columns, *sheet.unknown))
                rejected.append(
                    RejectedRow(
                        file=sheet.name,
                        line=None,
                        value=printable(found),
                        reason=f"the header lacks {', '.join(missing)}; {remedy}",
                    )
                )
        if rejected:
            raise RejectedImportError(rejected, len(rejected))

    def reject(
        self, bad: Mask, values: Sequence[Any] | NDArray[Any], reason: str | Callable[[int], str]
    ) -> None:
        """Reject rows.

        Parameters
        ----------
        bad : ndarray, shape (n_rows,)
            The rows to reject.
        values : sequence, shape (n_rows,)
            What is wrong in each.
        reason : str or callable
            Why, with the remedy; a callable is given the row.
        """
        new = np.flatnonzero(bad & ~self._bad)
        self._bad[new] = True
        for row in new[:N_REJECTED_SHOWN].tolist():
            file, line = self.origin(row)
            self._rejected.append(
                (
                    row,
                    RejectedRow(
                        file=file,
                        line=line,
                        value=plain(values[row]),
                        reason=reason if isinstance(reason, str) else reason(row),
                    ),
                )
            )

    def require_good(self) -> None:
        """Refuse the files if a row of theirs was rejected.

        Raises
        ------
        RejectedImportError
            With the first bad rows in their order.
        """
        if self._rejected:
            self._rejected.sort(key=lambda item: item[0])
            raise RejectedImportError([row for _, row in self._rejected], int(self._bad.sum()))

    def ignored(self) -> list[IgnoredPart]:
        """List the columns that nobody asked for, and the notes."""
        columns = [
            IgnoredPart(
                file=sheet.name,
                what=f"column {printable(name)}",
                reason="not a column that this import reads",
            )
            for sheet in self.sheets
            for name in sheet.unknown
        ]
        return columns + self.notes

    # --- Columns ----------------------------------------------------------------------------

    def column(self, name: str, default: str | None = None) -> pa.StringArray:
        """Return a column of all files; `default` where a file lacks it or a field is empty."""
        parts = [
            sheet.columns.get(name, pa.nulls(len(sheet.lines), pa.string()))
            for sheet in self.sheets
        ]
        values = pa.concat_arrays(parts)
        return values if default is None else pc.fill_null(values, default)

    def names(self, name: str, *, default: str | None = None, required: bool = True) -> Texts:
        """Return a column of names; None where a field is empty, if it need not be given.

        A model's `organisation/name`, as hubs write it, becomes `organisation__name`, as lm-eval
        names its folders.
        """
        values = self.column(name, default)
        if name == "base_model":
            values = self._without_organisation_slash(values)
        good = pc.match_substring_regex(values, NAME_PATTERN)
        texts = _texts(values)
        self.reject(~_mask(good, missing=True), texts, f"{name} {NAME_RULE}")
        if required:
            self.require(name, texts)
        return texts

    def _without_organisation_slash(self, models: pa.StringArray) -> pa.StringArray:
        """Bring `organisation/name` to a name, and say so."""
        changed = pc.replace_substring_regex(models, r"^(\w[^/]*)/(\w[^/]*)$", r"\1__\2")
        differs = np.flatnonzero(_mask(pc.not_equal(changed, models)))
        self.notes += [
            IgnoredPart(
                file=self.sheets[place].name,
                what="the / in base_model",
                reason="names hold none; organisation/name is written organisation__name",
            )
            for place in np.unique(self._sheet[differs])
        ]
        return changed

    def free_texts(self, name: str, *, required: bool = False) -> Texts:
        """Return a column of free text: at most 200 characters, none of them a control one."""
        values = self.column(name)
        long = pc.greater(pc.utf8_length(values), MAX_TEXT_LENGTH)
        control = pc.match_substring_regex(values, r"\pC")
        texts = _texts(values)
        self.reject(
            _mask(pc.or_(long, control)),
            texts,
            f"{name} is longer than {MAX_TEXT_LENGTH} characters or holds control characters; "
            "shorten it.",
        )
        if required:
            self.require(name, texts)
        return texts

    def require(self, name: str, values: Texts) -> None:
        """Reject rows whose field is empty."""
        self.reject(pd.isna(values), values, f"{name} is empty; fill it in or leave the row out.")

    def numbers(self, name: str, *, required: bool = False) -> Numbers:
        """Return a column of finite numbers; NaN where a field is empty or says NA."""
        values = self.column(name)
        if not required:
            unknown = pc.is_in(pc.utf8_lower(values), value_set=_UNKNOWN)
            values = pc.if_else(unknown, pa.scalar(None, pa.string()), values)
        good = pc.match_substring_regex(values, _NUMBER_PATTERN)
        texts = _texts(values)
        self.reject(
            ~_mask(good, missing=True),
            texts,
            f"{name} is not a finite number; write digits with a decimal point, e.g. 0.5"
            + (", or leave the row out." if required else ", or leave the field empty."),
        )
        if required:
            self.require(name, texts)
        digits = pc.if_else(good, values, pa.scalar(None, pa.string()))
        numbers: Numbers = np.asarray(
            digits.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64
        )
        self.reject(
            np.abs(numbers) > MAX_NUMBER, texts, f"{name} is beyond {MAX_NUMBER:g}; correct it."
        )
        return numbers

    def counts(self, name: str, *, low: int | None = 0, required: bool = False) -> Numbers:
        """Return a column of whole numbers, `low` or more; NaN where a field is empty."""
        numbers = self.numbers(name, required=required)
        texts = _texts(self.column(name))
        known = np.isfinite(numbers)
        bad = known & (numbers != np.round(numbers))
        self.reject(bad, texts, f"{name} is not a whole number; correct it.")
        if low is not None:
            self.reject(known & (numbers < low), texts, f"{name} is below {low}; correct it.")
        return numbers

    def flags(self, name: str) -> Numbers:
        """Return a column of yes and no as 1 and 0; NaN where a field is empty."""
        values = self.column(name)
        lower = pc.utf8_lower(values)
        yes = _mask(pc.is_in(lower, value_set=pa.array(sorted(_TRUE))))
        no = _mask(pc.is_in(lower, value_set=pa.array(sorted(_FALSE))))
        given = _mask(pc.is_valid(values))
        self.reject(given & ~yes & ~no, _texts(values), f"{name} is neither true nor false.")
        return np.where(yes, 1.0, np.where(no, 0.0, np.nan))


def plain(value: object) -> str:
    """Return a value for a message: whole numbers without a decimal point, nothing as nothing."""
    if value is None:
        return ""
    if not isinstance(value, float):
        return printable(value)
    if value.is_integer() and abs(value) <= MAX_NUMBER:
        return f"{value:.0f}"
    return "" if math.isnan(value) else repr(float(value))


def check_name(option: str, value: str | None) -> str | None:
    """Return an option's value.

    Raises
    ------
    InputError
        If it is given and is not a name.
    """
    if (
        value is not None
        and not pc.match_substring_regex(pa.array([value]), NAME_PATTERN)[0].as_py()
    ):
        raise InputError(f"{option} {printable(value)!r} {NAME_RULE}")
    return value


def _texts(values: pa.StringArray) -> Texts:
    """Return text as an array of objects, None where null."""
    found: Texts = values.to_numpy(zero_copy_only=False)
    return found


def _mask(values: pa.BooleanArray, *, missing: bool = False) -> Mask:
    """Return a mask; nulls become `missing`."""
    found: Mask = pc.fill_null(values, missing).to_numpy(zero_copy_only=False)
    return found

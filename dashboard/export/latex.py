"""Tables as LaTeX with booktabs rules, through pandas' Styler; all text is escaped.

Whatever a table holds, pdflatex can set it: characters outside its fonts are written as their code
point, never dropped.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from dashboard.export.tables import Missing, PaperTable, note_lines

_MOST_ROWS = 40
"""A longer table runs over pages (longtable), which two-column papers have to set in one column."""

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "`": r"\textasciigrave{}",
    "\N{MINUS SIGN}": r"\ensuremath{-}",
    "\N{EN DASH}": r"\textendash{}",
    "\N{EM DASH}": r"\textemdash{}",
    "\N{MULTIPLICATION SIGN}": r"\ensuremath{\times}",
    "\N{PLUS-MINUS SIGN}": r"\ensuremath{\pm}",
    "\N{HORIZONTAL ELLIPSIS}": r"\textellipsis{}",
    "\N{NO-BREAK SPACE}": "~",
}

_SHRUNK = (
    r"\footnotesize\setlength{\tabcolsep}{3pt}"
    "\n"
    r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{"
)
"""Small type, and smaller still where a table is wider than the page."""

PACKAGES = ("booktabs", "graphicx", "longtable", "textcomp")
"""What a document needs to hold the tables."""


def escape_latex(text: str) -> str:
    r"""Return LaTeX that sets `text` literally, on one line.

    Characters that pdflatex's standard fonts lack are written as \texttt{U+4E2D}.
    """
    escaped = "".join(_escape_one(char) for char in " ".join(text.split()))
    # Two hyphens would become a dash, and a bracket after the end of a row an argument of it.
    escaped = escaped.replace("--", "-{}-")
    return f"{{[}}{escaped[1:]}" if escaped.startswith("[") else escaped


def _escape_one(char: str) -> str:
    """Return the LaTeX of one character."""
    if char in _SPECIAL:
        return _SPECIAL[char]
    if char.isascii():
        return char if char.isprintable() else " "
    # Letters of Western Europe, which LaTeX reads as UTF-8 by itself.
    if "\N{LATIN CAPITAL LETTER A WITH GRAVE}" <= char <= "\N{LATIN SMALL LETTER Y WITH DIAERESIS}":
        return char
    return rf"\texttt{{U+{ord(char):04X}}}"


def table_latex(table: PaperTable, provenance: str) -> str:
    """Return a table environment with caption, label, rules, notes and a provenance comment."""
    marks = table.notes()

    def cell(value: object) -> str:
        if isinstance(value, Missing):
            return rf"\textendash\textsuperscript{{{marks[value.reason]}}}"
        return escape_latex(str(value))

    long = len(table.rows) > _MOST_ROWS
    caption = escape_latex(table.caption)
    frame = pd.DataFrame(list(table.rows), columns=list(table.headings), dtype=object)
    style = frame.style.hide(axis="index").format(cell).format_index(cell, axis=1)
    text = style.to_latex(
        hrules=True,
        environment="longtable" if long else "table*",
        position=None if long else "tbp",
        position_float=None if long else "centering",
        column_format="".join(
            "r" if table.is_number(column) else "l" for column in range(len(table.headings))
        ).join(("@{}", "@{}")),
        caption=caption,
        label=f"tab:{table.name}",
    )
    lines = [
        rf"\textsuperscript{{{mark}}}~{escape_latex(reason)}" for mark, reason in note_lines(table)
    ]
    notes = rf"\par\smallskip{{\footnotesize {' '.join(lines)}\par}}" + "\n" if lines else ""
    head = f"% {' '.join(provenance.split())}\n% Needs the packages {', '.join(PACKAGES)}.\n"
    if long:
        # The caption as wide as the text, and not on every page again.
        text = text.replace(rf"\caption[]{{{caption}}} \\" + "\n", "", 1)
        size = r"\scriptsize\setlength{\tabcolsep}{2pt}\setlength{\LTcapwidth}{\textwidth}"
        return f"{head}{{{size}\n{text}{notes}}}\n"
    start, end, close = r"\begin{tabular}", "\\end{tabular}\n", "\\end{table*}\n"
    text = text.replace(start, f"{_SHRUNK}{start}", 1).replace(end, end.rstrip() + "}\n", 1)
    return f"{head}{text.removesuffix(close)}{notes}{close}"


def document_latex(title: str, provenance: str, files: Iterable[str]) -> str:
    """Return a document that inputs the tables' files, so that they can be set and looked at."""
    packages = "\n".join(rf"\usepackage{{{name}}}" for name in PACKAGES)
    inputs = "\n".join(rf"\input{{{name}}}" for name in files)
    return rf"""\documentclass[10pt,a4paper]{{article}}
\usepackage[margin=15mm,landscape]{{geometry}}
{packages}
\title{{{escape_latex(title)}}}
\date{{}}
\begin{{document}}
\maketitle
\begin{{sloppypar}}\noindent {escape_latex(provenance)}\end{{sloppypar}}
{inputs}
\end{{document}}
"""

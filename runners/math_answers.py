"""Extraction and comparison of maths answers, safe against any reply.

Model output is untrusted: nothing is evaluated as code, only the end of a long reply is read, and
symbolic comparison is left out for texts whose evaluation could take unbounded time or memory
(power towers, factorials). Plain numbers are compared exactly without sympy.
"""

from __future__ import annotations

import re
import threading
from fractions import Fraction

MAX_REPLY_CHARACTERS = 8_000
MAX_ANSWER_CHARACTERS = 200
TIMEOUT_SECONDS = 3

_BOX = re.compile(r"\\f?box(?:ed)?\s*\{")
_DOLLARS = re.compile(r"\$\$?([^$]+)\$\$?")
_NUMBER = re.compile(
    r"(?:(?<![\w)])[-+−])?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:\s?/\s?\d+)?(?:\s?%)?(?![A-Za-z\d])"
)
_PLAIN = re.compile(r"([-+]?)(\d*)(?:\.(\d*))?(?:/(\d+))?(%?)")
_FRACTION = re.compile(r"\\[dt]?frac\{?(-?\d+)\}?\{?(\d+)\}?")
_DROPPED = re.compile(
    r"\\(?:left|right|displaystyle|,|;|!|:| )|\\(?:text|mathrm|mbox)\s*\{[^{}]*\}|\^?\\circ|[$\s]"
)
# Anything that can make symbolic evaluation explode: factorials, sums, products and large or
# stacked exponents.
_EXPLOSIVE = re.compile(
    r"!|\\(?:sum|prod|int|binom|lim|iint|uparrow)|(?:\^|\*\*)\s*\{?\s*\(?\s*-?\d{3,}"
    r"|(?:\^|\*\*)[^+\-=,]*(?:\^|\*\*)|\d{40,}|[eE][+-]?\d{3,}|factorial|binomial|gamma|zeta"
)


def extract_answer(reply: str) -> str | None:
    """Return the answer that a reply ends with, or None if it holds none.

    The content of the last box, else the last `$...$`, else what follows the last "=", else the
    last number, each searched for behind the last "答案" or "answer".
    """
    text = reply[-MAX_REPLY_CHARACTERS:].replace("或", ",")
    for marker in ("答案", "nswer"):
        text = text.rpartition(marker)[2] or text
    found = _last_boxed(text)
    if found is None:
        spans = _DOLLARS.findall(text)
        found = spans[-1] if spans else None
    if found is not None:
        found = found.rpartition("=")[2]
    elif "=" in text:
        found = text.rpartition("=")[2].strip().split("\n")[0].rstrip(".。 ")
    else:
        numbers = _NUMBER.findall(text)
        found = numbers[-1] if numbers else _whole_expression(text)
    found = (found or "").strip()
    return found if found and len(found) <= MAX_ANSWER_CHARACTERS else None


def is_equivalent(answer: str, right: str) -> bool:
    """Tell whether two answers are the same value or expression.

    Equal normal forms or equal numbers decide; other texts are compared by math-verify, in the
    main thread only, as its time limit is a signal.
    """
    left_text, right_text = _normal(answer), _normal(right)
    if left_text == right_text:
        return bool(left_text)
    left_number, right_number = parse_number(left_text), parse_number(right_text)
    if left_number is not None and right_number is not None:
        return left_number == right_number
    if any(
        len(text) > MAX_ANSWER_CHARACTERS or _EXPLOSIVE.search(text) for text in (answer, right)
    ):
        return False
    return _verify(answer, right)


def parse_number(text: str) -> Fraction | None:
    """Return the exact value of a plain number (integer, decimal, fraction, percentage)."""
    match = _PLAIN.fullmatch(text)
    if not match or len(text) > 60:
        return None
    sign, whole, decimals, denominator, percent = match.groups()
    if not whole and not decimals:
        return None
    value = Fraction(f"{whole or 0}.{decimals or 0}")
    if denominator is not None:
        if int(denominator) == 0:
            return None
        value /= int(denominator)
    return value * (-1 if sign == "-" else 1) / (100 if percent else 1)


def _is_tame(text: str) -> bool:
    """Tell whether symbolic evaluation of a text is sure to end soon."""
    return len(text) <= MAX_ANSWER_CHARACTERS and not _EXPLOSIVE.search(text)


def _last_boxed(text: str) -> str | None:
    """Return the content of the last box whose braces match."""
    boxes = list(_BOX.finditer(text))
    if not boxes:
        return None
    start, depth = boxes[-1].end(), 1
    for index in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if depth == 0:
            return text[start:index]
    return None


def _whole_expression(text: str) -> str | None:
    """Return a short reply without numbers as it stands, if it is an expression and no words."""
    text = text.strip().strip(".。:：")
    if re.search(r"(?<![\\A-Za-z])[A-Za-z]{3,}", text):
        return None
    return text if re.fullmatch(r"[A-Za-z\\{}()\[\]+\-*/^_, ]{1,40}", text) else None


def _normal(text: str) -> str:
    """Return a text without units, spaces and styling, with simple fractions written a/b."""
    text = text.replace("−", "-").replace("，", ",").replace("\\%", "%")
    text = _FRACTION.sub(r"\1/\2", _DROPPED.sub("", text)).rstrip(".。")
    return re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)


def _verify(answer: str, right: str) -> bool:
    """Compare symbolically under a time limit; False where no limit can be set."""
    if threading.current_thread() is not threading.main_thread():
        return False
    # sympy takes a second to import, and most answers never need it.
    from math_verify import parse, verify

    sides = [
        parse(f"${text}$", parsing_timeout=TIMEOUT_SECONDS, raise_on_error=False)
        for text in (right.strip("$ "), answer.strip("$ "))
    ]
    if not all(sides):
        return False
    return bool(verify(*sides, timeout_seconds=TIMEOUT_SECONDS, raise_on_error=False))

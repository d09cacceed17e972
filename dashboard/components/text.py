"""Text that is shown as it is, whoever wrote it."""

from __future__ import annotations

import re

_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
_STARTING_COLON = re.compile(r":(?=\S)")
_LINE_BREAKS = re.compile(r"\s*[\r\n\u2028\u2029]+\s*")


def plain(text: str) -> str:
    r"""Return Markdown that shows `text` literally, on one line.

    CommonMark takes a backslash before any ASCII punctuation as "this sign itself", so no markup,
    HTML, link or formula survives. Streamlit's own `:name:` and `:red[...]` are read after that,
    hence the word joiner, which no eye sees, between a colon and what follows it directly.
    """
    one_line = _LINE_BREAKS.sub(" ", text)
    parted = _STARTING_COLON.sub(":\N{WORD JOINER}", one_line)
    return _PUNCTUATION.sub(r"\\\1", parted)

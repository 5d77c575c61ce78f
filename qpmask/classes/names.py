"""Class names in the one form that QuPath gives them: a text in, a name out.

QuPath's ``PathClass.fromString`` splits a name at its colons, takes the white space off each part
and joins the parts by a colon and a space: ``"UBERON:1"`` is ``"UBERON: 1"``, ``"Tumor "`` is
``"Tumor"``. Case and Unicode form stay as they are. Whatever brings a class name into qpmask, a
class list, a map, a pattern, a data file or a question, brings it through :func:`class_name`, so
that two spellings of one class meet. Found in QuPath 0.4 to 0.7, which agree.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

#: What QuPath shows for objects without a class; no class can have this name.
UNCLASSIFIED: Final = "Unclassified"

# What Java's String.strip takes off: Character.isWhitespace, which no-break spaces are not.
_JAVA_SPACE: Final = (
    "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2008"
    "\u2009\u200a\u2028\u2029\u205f\u3000"
)
_COLON_OUTSIDE_BRACKETS: Final = re.compile(r":(?![^\[]*\])")


def class_name(text: str) -> str | None:
    """A class name in QuPath's form.

    Parameters
    ----------
    text : str
        A name as somebody wrote it.

    Returns
    -------
    str or None
        The full name, the parts of a derived class joined as in ``Tumor: Positive``. None stands
        for objects without a class: an empty name, one of colons only, and ``Unclassified``, which
        is QuPath's word for them (projects begun in QuPath 0.2 and 0.3 list it, 0.4 and later skip
        it). Empty parts are left out, as 0.2 and 0.3 did; later versions refuse such names, see
        :func:`why_refused`.

    Examples
    --------
    >>> class_name(" Tumor:Positive ")
    'Tumor: Positive'
    """
    name = ": ".join(filter(None, (part.strip(_JAVA_SPACE) for part in text.split(":"))))
    return None if name in ("", UNCLASSIFIED) else name


def same_class(one: str, other: str) -> bool:
    """Whether QuPath takes two names for the same, where both are asked for or shown."""
    return one == other or (class_name(one) or UNCLASSIFIED) == (class_name(other) or UNCLASSIFIED)


def why_refused(text: str) -> str | None:
    """Why QuPath has no class of this name, in words; None if it may have.

    From its rules in 0.4 to 0.7: a part of a name is not empty, but for empty ones at the end,
    which are cut off before white space is. (Line breaks, which it refuses as well, harm nothing
    here.)
    """
    parts = text.split(":")
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    stripped = [part.strip(_JAVA_SPACE) for part in parts]
    if not text.strip(_JAVA_SPACE):
        return "it is empty"
    if parts != [""] and not all(stripped):
        return "a part of it is empty"
    return None


def class_pattern(text: str) -> str:
    """A pattern of class names (``*``, ``?``, ``[...]``) in the form that the names have.

    >>> class_pattern("Tumor:*")
    'Tumor: *'
    """
    parts = [part.strip(_JAVA_SPACE) for part in _COLON_OUTSIDE_BRACKETS.split(text)]
    return ": ".join(filter(None, parts)) or text


def nearest(name: str, names: Iterable[str], count: int = 3) -> list[str]:
    """Those of ``names`` that look like ``name``, whatever their case, the likeliest first."""
    import difflib  # late: needed for misspelt names alone

    folded = {n.casefold(): n for n in names}
    hits = difflib.get_close_matches(name.casefold(), folded, n=count, cutoff=0.6)
    return [folded[hit] for hit in hits]

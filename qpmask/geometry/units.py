"""Lengths in micrometres, by the names that files give to units."""

from __future__ import annotations

#: OME's ``UnitsLength``, by its symbols; "pixel" and "reference frame" are no lengths.
_OME = {
    "µm": 1.0, "μm": 1.0, "nm": 1e-3, "\u00c5": 1e-4, "\u212b": 1e-4, "pm": 1e-6, "fm": 1e-9,
    "mm": 1e3, "cm": 1e4, "dm": 1e5, "m": 1e6, "dam": 1e7, "hm": 1e8, "km": 1e9,
    "thou": 25.4, "li": 25_400 / 12, "pt": 25_400 / 72, "in": 25_400.0, "ft": 304_800.0,
    "yd": 914_400.0,
}  # fmt: skip

#: What programs and people write beside them; ImageJ leaves it to people.
_OTHERS = {
    "um": 1.0, "micron": 1.0, "microns": 1.0, "micrometer": 1.0, "micrometers": 1.0,
    "micrometre": 1.0, "micrometres": 1.0, "nanometer": 1e-3, "nanometers": 1e-3,
    "angstrom": 1e-4, "angstroms": 1e-4, "millimeter": 1e3, "millimeters": 1e3,
    "centimeter": 1e4, "inch": 25_400.0, "inches": 25_400.0,
}  # fmt: skip


def um_per_unit(name: str) -> float | None:
    """Micrometres in a unit of length; None where the name is that of no length.

    Symbols count as written ("mm" is not "Mm"), words in any case.
    """
    name = name.strip().replace("\\u00B5", "µ")  # as ImageJ writes it
    found = _OME.get(name)
    return found if found is not None else _OTHERS.get(name.casefold())

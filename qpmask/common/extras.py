"""Libraries that are extras: imported where they are used, and what people read who lack one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from qpmask.errors import MissingExtraError


def install_hint(extra: str) -> str:
    """What to do where an extra of qpmask is not installed."""
    return f'Install it with: pip install "qpmask[{extra}]"'


@contextlib.contextmanager
def needed(what: str, hint: str) -> Iterator[None]:
    """Around the import of a library that may not be there.

    Parameters
    ----------
    what : str
        What needs which library, as the start of a sentence: ``Patch files need h5py``.
    hint : str
        What to do, such as :func:`install_hint` of an extra.

    Raises
    ------
    MissingExtraError
        It is not installed.
    """
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(f"{what}, which is not installed ({error}).", hint=hint) from error

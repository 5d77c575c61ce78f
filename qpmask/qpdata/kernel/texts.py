"""Texts that are kept, compiled: names, how the image is opened."""

from __future__ import annotations

from qpmask.jit import kernel
from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.kernel.library import Columns, Stream
from qpmask.qpdata.kernel.stream import (
    full,
    is_text,
    lacking,
    read_text,
    reference,
    text_end,
    text_start,
    u4,
)


@kernel
def pool_text(stream: Stream, columns: Columns, start: int, end: int) -> int:
    """Keep a text; give its number."""
    n = stream.n
    text: int = n[k.TEXTS]
    at = n[k.TEXT_BYTES]
    if text >= len(columns.text_ends):
        return full(n, k.TEXTS, 1)
    if at + end - start > len(columns.text_bytes):
        return full(n, k.TEXT_BYTES, end - start)
    for i in range(end - start):
        columns.text_bytes[at + i] = stream.data[start + i]
    n[k.TEXTS] = text + 1
    n[k.TEXT_BYTES] = columns.text_ends[text] = at + end - start
    return text


@kernel
def keep_text(stream: Stream, columns: Columns, pos: int) -> int:
    """Read a text, a reference to one, or null; its number is ``n[TEXT]``, -1 for null."""
    data, n = stream.data, stream.n
    n[k.TEXT] = -1
    if pos >= len(data):
        return lacking(stream, pos + 1)
    code = data[pos]
    if code == k.TC_NULL:
        return pos + 1
    handle = n[k.HANDLES]
    after = pos + 5
    if code in (k.TC_STRING, k.TC_LONGSTRING):
        after = read_text(stream, pos)
        if after < 0:
            return after
    elif code == k.TC_REFERENCE:
        entry = reference(stream, pos + 1)
        if entry < 0:
            return entry
        if entry & 15 == k.POOLED:
            n[k.TEXT] = entry >> 4
            return after
        if not is_text(entry):
            return k.UNKNOWN
        handle = u4(data, pos + 1) - k.FIRST_REFERENCE
        if handle < n[k.KEPT + k.HANDLES] and entry & 15 == k.TEXT_AT:
            n[k.WANTED] = handle
            return k.POOL
    else:
        return k.UNKNOWN
    text = pool_handle(stream, columns, handle)
    n[k.TEXT] = text
    return text if text < 0 else after


@kernel
def pool_handle(stream: Stream, columns: Columns, handle: int) -> int:
    """Keep the text of a handle, which stands for its number from now on; give that."""
    entry = stream.handles[handle]
    at = (entry >> 4) - stream.n[k.BASE]
    if entry >> 4 == 0:
        return k.UNKNOWN
    if at < 0:
        return k.BACK
    end = text_end(stream, at)
    if end < 0:
        return end
    text = pool_text(stream, columns, text_start(stream, at), end)
    if text >= 0 and entry & 15 == k.TEXT_AT:
        stream.handles[handle] = k.POOLED | text << 4
    return text

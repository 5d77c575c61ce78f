"""Texts that are kept, compiled: names, how the image is opened."""

from __future__ import annotations

from qpmask.jit import kernel
from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.kernel.library import Columns, Stream
from qpmask.qpdata.kernel.stream import full, is_text, text_end, text_start
from qpmask.qpdata.kernel.values import read_entry


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
    n = stream.n
    pos = read_entry(stream, pos)
    if pos < 0:
        return pos
    handle, entry = n[k.HANDLE], n[k.ENTRY]
    if entry == k.NULL or entry & 15 == k.POOLED:
        n[k.TEXT] = -1 if entry == k.NULL else entry >> 4
        return pos
    if not is_text(entry):
        return k.UNKNOWN
    if handle < n[k.KEPT + k.HANDLES] and entry & 15 == k.TEXT_AT:
        n[k.WANTED] = handle
        return k.POOL
    text = pool_handle(stream, columns, handle)
    n[k.TEXT] = text
    return text if text < 0 else pos


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

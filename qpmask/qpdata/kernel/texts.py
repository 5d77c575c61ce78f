"""Texts that are kept, compiled: each becomes a number, and its bytes stand behind those before."""

from __future__ import annotations

from qpmask.javastream import reading as s
from qpmask.jit import kernel
from qpmask.jit.growing import full
from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.kernel.library import Columns, Stream


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
def keep_text(stream: Stream, columns: Columns, entry: int, handle: int, missing: int) -> int:
    """Keep the text of a handle, once: ``n[TEXT]``, -1 for null; ``missing`` for what is none."""
    n = stream.n
    n[k.TEXT] = -1
    if entry == k.NULL:
        return 0
    if entry & 15 == s.POOLED:
        n[k.TEXT] = entry >> 4
        return 0
    if not s.is_text(entry):
        return missing
    at = (entry >> 4) - n[s.BASE]
    if at < 0:
        return s.BACK
    end = s.text_end(stream, at)
    if end < 0:
        return end
    text = pool_text(stream, columns, s.text_start(stream, at), end)
    if text < 0:
        return text
    n[k.TEXT] = text
    if entry & 15 == s.TEXT_AT:
        stream.handles[handle] = s.POOLED | text << 4
    return 0

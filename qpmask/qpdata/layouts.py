"""Recognises objects that are laid out like one that was read before.

Most objects of a QuPath project differ in few of their bytes: a file of 200,000 cells holds the
same 150 bytes of class numbers, nulls and flags 200,000 times, and between them an id, the
measurements and the vertices. What was learned from reading the first of them in full is kept as
a tree: its edges are the bytes that must be the same, its nodes the parts that may differ. An
object that follows a path of the tree to its end means the same as the first one did, with other
values in the differing parts, and need not be taken to pieces again.

The same bytes mean the same thing as long as what they refer to was complete before the object
began, which :class:`~qpmask.qpdata.javastream.JavaStream` checks while it notes the parts.
"""

from __future__ import annotations

from typing import Final, Generic, TypeAlias, TypeVar

from qpmask.qpdata.bytereader import I4, U2
from qpmask.qpdata.javavalues import Span, SpanKind

#: Bounds on what is learned, so that data without any likeness costs neither memory nor time.
MAX_EDGES: Final = 20_000
MAX_LENGTHS: Final = 12
MAX_EDGE_BYTES: Final = 4096

T = TypeVar("T")

# What follows after bytes that are the same.
END: Final = 0
FIXED: Final = 1
TEXT: Final = 2
ARRAY: Final = 3
_CODES: Final = {SpanKind.FIXED: FIXED, SpanKind.TEXT: TEXT, SpanKind.ARRAY: ARRAY}

_text_length: Final = U2.unpack_from
_array_length: Final = I4.unpack_from


class Node(Generic[T]):
    """The place after a differing part: which bytes may come next."""

    __slots__ = ("by_length",)

    def __init__(self) -> None:
        self.by_length: list[tuple[int, dict[bytes, Edge[T]]]] = []


#: Code and size of the differing part after bytes that are the same, the node after it, and what
#: the layout means that ends here. A plain tuple: it is taken apart for every object.
Edge: TypeAlias = "tuple[int, int, Node[T], T | None]"


class Layouts(Generic[T]):
    """The layouts learned so far, each with what it means."""

    def __init__(self) -> None:
        self.root: Node[T] = Node()
        self._n_edges = 0

    def match(self, data: bytes, pos: int, starts: list[int]) -> tuple[int, T] | None:
        """Tell whether the object at ``pos`` has a known layout.

        Parameters
        ----------
        data : bytes
            All the data.
        pos : int
            Where the object starts.
        starts : list of int
            Gets the offset of every differing part, in order; of a text or an array that of its
            length.

        Returns
        -------
        tuple of int and T, or None
            Offset of the end, and what the layout means.
        """
        size = len(data)
        node = self.root
        while True:
            for length, edges in node.by_length:
                edge = edges.get(data[pos : pos + length])
                if edge is not None:
                    break
            else:
                return None
            pos += length
            code, item_size, node, meaning = edge
            if code == FIXED:
                starts.append(pos)
                pos += item_size
            elif code == ARRAY:
                if pos + 4 > size:
                    return None
                starts.append(pos)
                n_items: int = _array_length(data, pos)[0]
                if n_items < 0:
                    return None
                pos += 4 + n_items * item_size
            elif code == TEXT:
                if pos + 2 > size:
                    return None
                starts.append(pos)
                pos += 2 + int(_text_length(data, pos)[0])
            else:
                return None if meaning is None else (pos, meaning)

    def learn(self, data: bytes, start: int, end: int, spans: list[Span], meaning: T) -> None:
        """Keep the layout of an object that was read.

        Parameters
        ----------
        data : bytes
            All the data.
        start, end : int
            Where the object starts and ends.
        spans : list of Span
            Its differing parts, in order.
        meaning : T
            What to give when an object is alike.
        """
        node: Node[T] = self.root
        pos = start
        for span in spans:
            size = span.end - span.start if span.kind is SpanKind.FIXED else span.item_size
            step = self._step(node, data[pos : span.start], _CODES[span.kind], size, None)
            if step is None:
                return
            node = step
            pos = span.end
        self._step(node, data[pos:end], END, 0, meaning)

    def _step(
        self, node: Node[T], same: bytes, code: int, size: int, meaning: T | None
    ) -> Node[T] | None:
        """Follow an edge, which is made if need be; None where there is no room for it."""
        edges = dict(node.by_length).get(len(same))
        if edges is None:
            if len(node.by_length) >= MAX_LENGTHS or len(same) > MAX_EDGE_BYTES:
                return None
            edges = {}
            node.by_length.append((len(same), edges))
        edge = edges.get(same)
        if edge is None:
            if self._n_edges >= MAX_EDGES:
                return None
            self._n_edges += 1
            edge = edges[same] = (code, size, Node(), meaning)
        return edge[2]

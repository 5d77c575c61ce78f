"""Masks with known labels, and plain requests to a server of them."""

from __future__ import annotations

import gzip
import http.client
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from qpmask import ClassEntry, ClassMap, MaskWriter
from qpmask.web import Server

CLASSES = {"Tumor": 1, "Stroma": 2, "Necrosis": 7}
COLORS = {"Tumor": (200, 0, 0), "Stroma": (0, 160, 40), "Necrosis": (20, 40, 220)}


def blocks(height: int = 1500, width: int = 2100) -> np.ndarray:
    """Labels 1, 2 and 7 in blocks whose borders lie on odd pixels."""
    labels = np.zeros((height, width), np.uint8)
    labels[101:705, 203:1401] = 1
    labels[333:1203, 807:1999] = 2
    labels[640:641, :] = 7
    labels[:, 1000:1001] = 7
    labels[900:1100, 100:300] = 7
    return labels


def write(path: Path, labels: np.ndarray, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = labels.shape
    classes = ClassMap(tuple(ClassEntry(n, name, COLORS[name]) for name, n in CLASSES.items()))
    said = {"dtype": str(labels.dtype), "classes": classes, "mpp": 0.5, **options}
    with MaskWriter(path, width, height, **said) as writer:
        writer.write(0, 0, labels)
    return path


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    server: Server, path: str, *, token: bool = True, method: str = "GET", **headers: str
) -> Reply:
    """A request, with nothing that a browser would add or mend."""
    prefix = urlsplit(server.url).path if token else "/"
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.putrequest(method, prefix + path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read()
        said = {name.lower(): value for name, value in answer.getheaders()}
        if said.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        return Reply(answer.status, said, body)
    finally:
        connection.close()

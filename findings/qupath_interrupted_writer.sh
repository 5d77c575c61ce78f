#!/usr/bin/env bash
# QuPath's OMEPyramidWriter, interrupted, returns while its threads go on with the tiles that they have begun.
# QuPath 0.6.0 (0.7.0 too), through paquo 0.9.0: the interrupted writeSeries throws at once, but its threads are not
# waited for. They still read their tiles from the image server, fail to write them, and log "Error writing Tile ..."
# after writeSeries is over. Whoever takes such a message for a tile of the image that is written next (the writer
# only logs lost tiles, so the log is where one looks) calls that image broken; whoever closes the server or removes
# the file at once does so beneath threads at work.
# Takes the QuPath in PAQUO_QUPATH_DIR, or fetches 0.6.0 with paquo.
# Seen: "ended by IOException, 2 tiles at work, 0 errors logged", then "after it: 2 errors logged".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q paquo==0.9.0 jpype1==1.7.1 numpy==2.4.6
cd "$folder"
if [ -z "${PAQUO_QUPATH_DIR:-}" ]; then
    PAQUO_QUPATH_DIR=$(venv/bin/python -m paquo get_qupath --install-path "$folder" 0.6.0 | tail -1)
    export PAQUO_QUPATH_DIR
fi
cat > writer.py <<'PY'
import sys
import threading
import time

import paquo.java  # noqa: F401  (starts the JVM)
from jpype import JClass, JInt, JProxy

lib = "qupath.lib."
image = JClass("java.awt.image.BufferedImage")(256, 256, 10)  # 8-bit gray
real = JClass(lib + "images.servers.WrappedBufferedImageServer")("slide", image)
log = JClass("ch.qos.logback.core.read.ListAppender")()
log.start()
root = JClass("org.slf4j.LoggerFactory").getILoggerFactory().getLogger("ROOT")
root.detachAndStopAllAppenders()
root.addAppender(log)


def n_errors() -> int:
    return sum("Error writing" in str(event.getFormattedMessage()) for event in list(log.list))


class Slow:
    """An image server whose tiles, but for the first, wait until they may go on."""

    def __init__(self) -> None:
        self.go, self.lock, self.n_calls, self.n_waiting = threading.Event(), threading.Lock(), 0, 0

    def readRegion(self, *args):
        with self.lock:
            self.n_calls += 1
            waits = self.n_calls > 1
            self.n_waiting += waits
        if waits:
            self.go.wait(60)
        return real.readRegion(*args)

    def __getattr__(self, name):
        return getattr(real, name)


slow = Slow()
writer = JClass(lib + "images.writers.ome.OMEPyramidWriter")
series = (writer.Builder(JProxy(lib + "images.servers.ImageServer", inst=slow))
          .tileSize(64).parallelize(JInt(2)).build())
java_thread, ended = [], []


def write() -> None:
    java_thread.append(JClass("java.lang.Thread").currentThread())
    try:
        series.writeSeries("slide.ome.tif")
        ended.append("nothing")
    except JClass("java.lang.Exception") as error:
        ended.append(error.getClass().getSimpleName())


def until(true) -> None:
    end = time.monotonic() + 60
    while not true() and time.monotonic() < end:
        time.sleep(0.05)


print("QuPath", JClass(lib + "common.GeneralTools").getVersion(), file=sys.stderr)
thread = threading.Thread(target=write)
thread.start()
until(lambda: slow.n_waiting == 2)
java_thread[0].interrupt()
thread.join(60)
print(f"ended by {ended[0] if ended else 'nobody'}, {slow.n_waiting} tiles at work, {n_errors()} errors logged")
slow.go.set()
until(lambda: n_errors() == 2)
print(f"after it: {n_errors()} errors logged")
PY
venv/bin/python writer.py | tee said
grep -qx "ended by IOException, 2 tiles at work, 0 errors logged" said && grep -qx "after it: 2 errors logged" said

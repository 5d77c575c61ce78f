"""An image server around another one that counts the tiles read from it, without leaving Java.

QuPath's writer asks it for each tile once, so its count is QuPath's own progress. What goes wrong
with a tile is kept, since the writer itself logs an exception, or loses an error such as out of
memory, and goes on.

It is made of method handles. A server written in Python would do the same, but each call would wait
for Python's interpreter lock: a fifth of the time for tiles that are drawn quickly.
"""

from __future__ import annotations

from typing import Any

_SERVER = "qupath.lib.images.servers.ImageServer"


class CountingServer:
    """Watches an ``ImageServer``.

    Parameters
    ----------
    server : Java ImageServer
        What to watch.

    Attributes
    ----------
    proxy : Java ImageServer
        What to read from instead.
    path : str
        What QuPath calls it when it logs something about its tiles; another one for each server.
    """

    def __init__(self, server: Any) -> None:
        import jpype

        java = jpype.JClass
        self._begun = java("java.util.concurrent.atomic.AtomicLong")()
        self._failures = java("java.util.concurrent.ConcurrentLinkedQueue")()
        handles = java("java.lang.invoke.MethodHandles")
        lookup = handles.publicLookup()
        interface = java(_SERVER).class_

        def bound(target: Any, name: str, result: Any, *parameters: Any) -> Any:
            kind = java("java.lang.invoke.MethodType").methodType(result, list(parameters))
            return lookup.findVirtual(target.getClass(), name, kind).bindTo(target)

        thing, throwable = java("java.lang.Object").class_, java("java.lang.Throwable").class_
        boolean, void = java("java.lang.Boolean").TYPE, java("java.lang.Void").TYPE
        kinds = java("java.lang.invoke.MethodType")
        count = bound(self._begun, "incrementAndGet", java("java.lang.Long").TYPE)
        count = count.asType(kinds.methodType(void))
        keep = bound(self._failures, "add", boolean, thing)
        keep = keep.asType(kinds.methodType(void, throwable))

        # Method -> what to call, with the arguments as an array.
        calls = java("java.util.HashMap")()
        methods = [*interface.getMethods(), *thing.getMethods()]
        for method in methods:
            if java("java.lang.reflect.Modifier").isStatic(method.getModifiers()):
                continue
            if method.getDeclaringClass().equals(thing) and method.getName() not in (
                "hashCode", "equals", "toString",
            ):  # fmt: skip
                continue  # a proxy has the others itself
            call = lookup.unreflect(method).bindTo(server).asFixedArity()
            if method.getName() == "readRegion":
                result = call.type().returnType()
                thrown = handles.throwException(result, throwable)
                call = handles.foldArguments(call, count)
                call = handles.catchException(call, throwable, handles.foldArguments(thrown, keep))
            calls.put(method, call)

        # (proxy, method, arguments) -> result, as java.lang.reflect.InvocationHandler has it.
        handle_class = java("java.lang.invoke.MethodHandle").class_
        arguments_class = java("java.lang.reflect.Array").newInstance(thing, 0).getClass()
        find = bound(calls, "get", thing, thing)
        find = find.asType(kinds.methodType(handle_class, java("java.lang.reflect.Method").class_))
        call = lookup.findVirtual(
            handle_class, "invokeWithArguments", kinds.methodType(thing, [arguments_class])
        ).asFixedArity()
        # A method without arguments comes with null instead of an empty array.
        filled = lookup.findStatic(
            java("java.util.Objects").class_,
            "requireNonNullElse",
            kinds.methodType(thing, [thing, thing]),
        )
        none = java("java.lang.reflect.Array").newInstance(thing, 0)
        filled = handles.insertArguments(filled, 1, [none])
        filled = filled.asType(kinds.methodType(arguments_class, [arguments_class]))
        call = handles.filterArguments(call, 0, find, filled)
        call = handles.dropArguments(call, 0, thing)
        handler = java("java.lang.invoke.MethodHandleProxies").asInterfaceInstance(
            java("java.lang.reflect.InvocationHandler").class_, call
        )
        self.proxy = java("java.lang.reflect.Proxy").newProxyInstance(
            interface.getClassLoader(), [interface], handler
        )
        self.path = str(self.proxy.getPath())

    @property
    def n_begun(self) -> int:
        """Tiles that were asked for so far."""
        return int(self._begun.get())

    @property
    def failure(self) -> Any:
        """The first Java throwable of a tile, or None."""
        return self._failures.peek()

"""Reading a pickle without running it: a stack machine that builds containers and calls only what it is given.

Python's own unpickler imports and calls whatever a file names. This one has no way to: a name is looked up in a table,
and the instructions that set attributes do nothing.
"""

import pickletools
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from jaxdet.checks import InputError

# Instructions whose argument is the value itself
_LITERALS = frozenset(
    ("INT", "LONG", "LONG1", "LONG4", "BININT", "BININT1", "BININT2", "FLOAT", "BINFLOAT")
    + ("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8")
    + ("BINBYTES", "SHORT_BINBYTES", "BINBYTES8")
)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}


def read_pickle(file: BinaryIO, *, admitted: Mapping[str, Any], persistent: Callable[[Any], Any] | None = None) -> Any:
    """The object pickled at the file's position, which is left just behind it.

    Args:
      admitted: what the pickle may name, by 'module name'; those that are functions are called with its arguments.
      persistent: gives the object for a persistent id; None where there must not be any.

    Raises:
      InputError: the pickle names anything else, or uses an instruction for which weights have no need.
      ValueError, TypeError, IndexError and the like: it is no pickle, truncated or inconsistent.
    """
    machine = _Machine(admitted, persistent)
    for opcode, argument, _ in pickletools.genops(file):
        machine.step(opcode.name, argument)
    (value,) = machine.stack
    return value


class _Machine:
    def __init__(self, admitted, persistent):
        self.stack, self.marks, self.memo = [], [], {}
        self.admitted, self.persistent = admitted, persistent

    def step(self, name: str, argument: Any) -> None:
        """Carries out one instruction; pickletools documents each."""
        if name in _LITERALS:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        else:
            self._structure(name, argument)

    def _structure(self, name, argument):
        stack, pop = self.stack, self.stack.pop
        match name:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "MARK":
                self.marks.append(len(stack))
            case "POP":
                pop()
            case "EMPTY_TUPLE" | "EMPTY_LIST" | "EMPTY_DICT":
                stack.append({"EMPTY_TUPLE": tuple, "EMPTY_LIST": list, "EMPTY_DICT": dict}[name]())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(self._take(len(stack) - int(name[-1]))))
            case "TUPLE":
                stack.append(tuple(self._marked()))
            case "LIST":
                stack.append(self._marked())
            case "DICT":
                stack.append(_pairs(self._marked()))
            case "APPEND" | "APPENDS":
                values = [pop()] if name == "APPEND" else self._marked()
                stack[-1].extend(values)
            case "SETITEM" | "SETITEMS":
                values = self._take(len(stack) - 2) if name == "SETITEM" else self._marked()
                stack[-1].update(_pairs(values))
            case "BINPUT" | "LONG_BINPUT" | "PUT":
                self.memo[argument] = stack[-1]
            case "MEMOIZE":
                self.memo[len(self.memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET" | "GET":
                stack.append(self.memo[argument])
            case _:
                self._object(name, argument)

    def _object(self, name, argument):
        stack, pop = self.stack, self.stack.pop
        match name:
            case "GLOBAL":
                stack.append(self._named(argument))
            case "STACK_GLOBAL":
                attribute, module = pop(), pop()
                stack.append(self._named(f"{module} {attribute}"))
            case "REDUCE":
                arguments, function = pop(), pop()
                stack.append(function(*arguments))  # only an admitted object can be callable
            case "BUILD":
                pop()  # attributes are dropped: an ordered dict's _metadata, a dtype's flags
            case "BINPERSID" if self.persistent is not None:
                stack.append(self.persistent(pop()))
            case _:
                raise InputError(f"the pickle must hold only tensors, numbers and containers, got instruction {name}")

    def _named(self, name):
        if name not in self.admitted:
            dotted = name.replace(" ", ".")
            raise InputError(f"the pickle must hold only tensors, numbers and containers, got {dotted}: refused")
        return self.admitted[name]

    def _marked(self):
        return self._take(self.marks.pop())

    def _take(self, start):
        """Removes and returns the stack from `start` on."""
        if not 0 <= start <= len(self.stack):
            raise IndexError("the stack is too short")
        values = self.stack[start:]
        del self.stack[start:]
        return values


def _pairs(values):
    return dict(zip(values[::2], values[1::2], strict=True))

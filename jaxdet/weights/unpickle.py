"""Reading a pickle without running it: a stack machine that builds containers and calls only what it is given.

Python's own unpickler imports and calls whatever a file names. This one has no way to: a name is looked up in a table,
and the instruction that sets attributes does nothing, except for an object of an admitted `Buildable` class.
"""

import dataclasses
import pickletools
import reprlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, BinaryIO

from jaxdet.checks import InputError

# Instructions whose argument is the value itself
_LITERALS = frozenset(
    ("INT", "LONG", "LONG1", "LONG4", "BININT", "BININT1", "BININT2", "FLOAT", "BINFLOAT")
    + ("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8")
    + ("BINBYTES", "SHORT_BINBYTES", "BINBYTES8")
)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}


@dataclasses.dataclass(frozen=True)
class Buildable:
    """A class whose objects a pickle makes in two steps, empty first; what stands for one is made from its state.

    Args:
      build: state -> object, for those made without arguments.
      new: arguments -> object, complete at once; None where there must not be any arguments.
    """

    build: Callable[[Any], Any]
    new: Callable[..., Any] | None = None

    def __call__(self, *arguments: Any) -> Any:
        if not arguments:
            return _Unfilled(self.build, [])
        if self.new is None:
            raise InputError("an object must be made from its state, got arguments")
        return self.new(*arguments)


@dataclasses.dataclass(frozen=True, eq=False)
class _Unfilled:
    """The place of an object until its state comes."""

    build: Callable[[Any], Any]
    keys: list[int]  # where the memo has it


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
    if machine.unfilled:
        raise InputError(f"every object in the pickle must have its state, got {machine.unfilled} without")
    return value


def mapping(pairs: Iterable[tuple[Any, Any]]) -> dict[str | int, Any]:
    """A dict of the pairs; InputError for a key that is no str or int: a tuple's hash can take for ever."""
    pairs = [(key, value) for key, value in pairs]
    for key, _ in pairs:
        check_key(key)
    return dict(pairs)


def check_key(key: Any) -> None:
    if type(key) not in (str, int):
        raise InputError(f"a key must be a string or an integer, got {reprlib.repr(key)}")


class _Machine:
    def __init__(self, admitted, persistent):
        self.stack, self.marks, self.memo = [], [], {}
        self.unfilled = 0  # each is in one place beside the memo, so that none is left in the result when this is 0
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
                self._memoize(argument)
            case "MEMOIZE":
                self._memoize(len(self.memo))
            case "BINGET" | "LONG_BINGET" | "GET":
                if isinstance(self.memo[argument], _Unfilled):
                    raise InputError("an object must have its state before it is used, got one without")
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
                check_key(attribute)
                check_key(module)
                stack.append(self._named(f"{module} {attribute}"))
            case "REDUCE" | "NEWOBJ" if name == "REDUCE" or isinstance(stack[-2:][0], Buildable):
                arguments, function = pop(), pop()
                stack.append(function(*arguments))  # only an admitted object can be callable
                self.unfilled += isinstance(stack[-1], _Unfilled)
            case "BUILD":
                self._build(pop())
            case "BINPERSID" if self.persistent is not None:
                stack.append(self.persistent(pop()))
            case _:
                raise InputError(f"the pickle must hold only tensors, numbers and containers, got instruction {name}")

    def _named(self, name):
        if name not in self.admitted:
            dotted = name.replace(" ", ".")
            raise InputError(f"the pickle must hold only tensors, numbers and containers, got {dotted}: refused")
        return self.admitted[name]

    def _memoize(self, key):
        value = self.memo[key] = self.stack[-1]
        if isinstance(value, _Unfilled):
            value.keys.append(key)

    def _build(self, state):
        """Completes the object on top; attributes of others are dropped: an ordered dict's _metadata, dtype's flags."""
        place = self.stack[-1]
        if not isinstance(place, _Unfilled):
            return
        self.stack[-1] = place.build(state)
        for key in place.keys:
            if self.memo[key] is place:
                self.memo[key] = self.stack[-1]
        self.unfilled -= 1

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
    return mapping(zip(values[::2], values[1::2], strict=True))

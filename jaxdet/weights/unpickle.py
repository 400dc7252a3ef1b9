"""Reading of a pickle without running it: a stack machine that builds containers and calls admitted functions only.

A `pickle.Unpickler` with an allow-list in `find_class` would be shorter, but leaves attacks open that need no import: a
file of a few hundred bytes makes it hash a nested tuple for ever or fill the memory with an empty memo, and BUILD sets
attributes of the admitted functions themselves. Here a name is looked up in a table, keys are strings or integers, the
memo is a dict, and BUILD does nothing, except for an object of an admitted `Buildable` class. Any other object becomes
an `Ignored`: it is never created, so a checkpoint may hold what weights do not need.
"""

import dataclasses
import logging
import pickletools
import reprlib
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any

from jaxdet.checks import InputError

log = logging.getLogger(__name__)

MAX_INSTRUCTIONS = 5_000_000  # a state dict has thousands; each may take 100 bytes of memory
# Instructions whose argument is the value itself.
_LITERALS = frozenset(
    ("INT", "LONG", "LONG1", "LONG4", "BININT", "BININT1", "BININT2", "FLOAT", "BINFLOAT")
    + ("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8")
    + ("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8")
)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}


@dataclasses.dataclass(frozen=True)
class Ignored:
    """Stands for an object that is not admitted. Calls, state and items are dropped."""

    name: str


@dataclasses.dataclass(frozen=True)
class Buildable:
    """A class whose objects a pickle creates in two steps: empty, then from their state.

    Args:
      build: state -> the value to read for an object that was created without arguments.
      new: arguments -> the value to read for an object created with arguments; None if it must have none.
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
    """Placeholder of an object until BUILD brings its state."""

    build: Callable[[Any], Any]
    keys: list[int]  # of the memo that refer to it


def read_pickle(file: IO[bytes], *, admitted: Mapping[str, Any], persistent: Callable[[Any], Any] | None = None) -> Any:
    """Return the object pickled at the file's position, which moves behind it; Ignored for what is not admitted.

    Args:
      file: opened in binary mode.
      admitted: what the pickle may name, by 'module name'; functions among them are called with its arguments.
      persistent: persistent id -> object; None if there must not be any.

    Raises:
      InputError: it uses an instruction that weights do not need, or too many.
      ValueError, TypeError, IndexError and the like: it is no pickle, truncated or inconsistent.
    """
    machine = _Machine(admitted, persistent)
    for number, (opcode, argument, _) in enumerate(pickletools.genops(file)):
        if number == MAX_INSTRUCTIONS:
            raise InputError(f"the pickle must have at most {MAX_INSTRUCTIONS} instructions, got more")
        machine.step(opcode.name, argument)
    (value,) = machine.stack
    if machine.ignored:
        log.info("not read: objects of %s", ", ".join(sorted(machine.ignored)[:5]))
    if machine.unfilled:
        raise InputError(f"every object in the pickle must have its state, got {machine.unfilled} without")
    return value


def mapping(pairs: Iterable[tuple[Any, Any]]) -> dict[str | int, Any]:
    """Return a dict of the pairs whose key is a str or int; hashing a nested tuple could take for ever."""
    return {key: value for key, value in pairs if type(key) in (str, int)}


def check_key(key: Any) -> None:
    """Raise InputError unless a key is a str or int."""
    if type(key) not in (str, int):
        raise InputError(f"a key must be a string or an integer, got {reprlib.repr(key)}")


class _Machine:
    """The unpickler's stack, marks and memo."""

    def __init__(self, admitted: Mapping[str, Any], persistent: Callable[[Any], Any] | None):
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        # Placeholders on the stack. Each is in one place besides the memo, so the result has none when this is 0.
        self.unfilled = 0
        self.ignored: set[str] = set()  # names that are not admitted
        self.admitted, self.persistent = admitted, persistent

    def step(self, name: str, argument: Any) -> None:
        """Execute one instruction; pickletools documents each."""
        if name in _LITERALS:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        else:
            self._structure(name, argument)

    def _structure(self, name: str, argument: Any) -> None:
        """Execute an instruction of the stack, the containers or the memo."""
        stack, pop = self.stack, self.stack.pop
        match name:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "MARK":
                self.marks.append(len(stack))
            case "POP":
                pop()
            case "POP_MARK":
                self._marked()
            case "EMPTY_SET":
                stack.append(Ignored("set"))
            case "FROZENSET":
                self._marked()
                stack.append(Ignored("frozenset"))
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
            case "APPEND" | "APPENDS" | "ADDITEMS":
                values = [pop()] if name == "APPEND" else self._marked()
                if not isinstance(stack[-1], Ignored):
                    stack[-1].extend(values)
            case "SETITEM" | "SETITEMS":
                values = self._take(len(stack) - 2) if name == "SETITEM" else self._marked()
                if not isinstance(stack[-1], Ignored):
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

    def _object(self, name: str, argument: Any) -> None:
        """Execute an instruction that names, creates or completes an object."""
        stack, pop = self.stack, self.stack.pop
        match name:
            case "GLOBAL":
                stack.append(self._named(argument))
            case "STACK_GLOBAL":
                attribute, module = pop(), pop()
                check_key(attribute)
                check_key(module)
                stack.append(self._named(f"{module} {attribute}"))
            case "REDUCE" | "NEWOBJ" if name == "REDUCE" or isinstance(stack[-2:][0], Buildable | Ignored):
                arguments, function = pop(), pop()
                self._call(function, arguments)
            case "NEWOBJ_EX" if isinstance(stack[-3:][0], Ignored):
                pop(), pop()
            case "INST":
                self._call(self._named(argument), self._marked())
            case "OBJ":
                function, *arguments = self._marked()
                self._call(function, arguments)
            case "BUILD":
                self._build(pop())
            case "BINPERSID" if self.persistent is not None:
                stack.append(self.persistent(pop()))
            case _:
                raise InputError(f"the pickle must hold only tensors, numbers and containers, got instruction {name}")

    def _call(self, function: Any, arguments: Any) -> None:
        """Push the result; with an ignored function or argument it is ignored as well."""
        ignored = [value for value in (function, *arguments) if isinstance(value, Ignored)]
        self.stack.append(ignored[0] if ignored else function(*arguments))  # only an admitted object can be callable
        self.unfilled += isinstance(self.stack[-1], _Unfilled)

    def _named(self, name: str) -> Any:
        if name in self.admitted:
            return self.admitted[name]
        ignored = Ignored(name.replace(" ", ".")[:80])
        self.ignored.add(ignored.name)
        return ignored

    def _memoize(self, key: int) -> None:
        value = self.memo[key] = self.stack[-1]
        if isinstance(value, _Unfilled):
            value.keys.append(key)

    def _build(self, state: Any) -> None:
        """Complete the object on top; ignore attributes of others: an OrderedDict's _metadata, a dtype's flags."""
        placeholder = self.stack[-1]
        if not isinstance(placeholder, _Unfilled):
            return
        self.stack[-1] = placeholder.build(state)
        for key in placeholder.keys:
            if self.memo[key] is placeholder:
                self.memo[key] = self.stack[-1]
        self.unfilled -= 1

    def _marked(self) -> list[Any]:
        return self._take(self.marks.pop())

    def _take(self, start: int) -> list[Any]:
        """Remove and return the stack from `start` on."""
        if not 0 <= start <= len(self.stack):
            raise IndexError("the stack is too short")
        values = self.stack[start:]
        del self.stack[start:]
        return values


def _pairs(values: list[Any]) -> dict[str | int, Any]:
    return mapping(zip(values[::2], values[1::2], strict=True))

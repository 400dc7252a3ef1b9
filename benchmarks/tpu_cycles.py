"""The cycles that a TPU's compiler estimates, added up over the text of a compiled program.

The text gives `estimated_cycles` of one run of an instruction. Here the body of a loop counts as often as the loop
runs, where its condition compares with a constant, and once otherwise. Sorts, TopK, gathers, scatters and kernels have
no estimate; they are listed with their shapes, as are the loops whose length depends on the data.
"""

import collections
import dataclasses
import re

SILENT = ("gather", "scatter", "sort", "custom-call")  # never estimated, except within a fusion that is
FREE = ("AssumeGatherIndicesInBound", "ConcatBitcast", "GatherScatterIndicesBitpacked", "Sharding", "AllocateBuffer")
COLLECTIVES = ("all-reduce", "all-gather", "all-to-all", "reduce-scatter", "collective-permute")

_HEADER = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = (.*?) ([\w\-]+)\((.*)$")


@dataclasses.dataclass
class Estimate:
    """What a program costs, in cycles; loops whose length is unknown are counted once."""

    total: int = 0
    parts: collections.Counter = dataclasses.field(default_factory=collections.Counter)  # operation -> cycles
    silent: collections.Counter = dataclasses.field(default_factory=collections.Counter)  # description -> runs
    loops: list[tuple[str, int]] = dataclasses.field(default_factory=list)  # (name, cycles of one run)
    collectives: collections.Counter = dataclasses.field(default_factory=collections.Counter)  # description -> runs


def estimate(text: str) -> Estimate:
    """Return the estimate of a compiled program from `compiled.as_text()`."""
    computations, entry = _computations(text)
    result = Estimate()
    _add(result, computations, entry, runs=1)
    return result


def _computations(text: str) -> tuple[dict[str, list[str]], str]:
    """Return the lines of each computation by name, and the name of the entry."""
    computations: dict[str, list[str]] = {}
    entry = name = ""
    for line in text.splitlines():
        header = _HEADER.match(line)
        if header:
            name = header[2]
            computations[name] = []
            entry = name if header[1] else entry
        elif name:
            computations[name].append(line)
    return computations, entry


def _add(result: Estimate, computations: dict[str, list[str]], name: str, *, runs: int) -> None:
    """Add `runs` runs of a computation."""
    for line in computations[name]:
        instruction = _INSTRUCTION.match(line)
        if not instruction:
            continue
        _, shape, opcode, attributes = instruction.groups()
        cycles = re.search(r'estimated_cycles":"?(\d+)', attributes)
        operation = _operation(attributes)
        if opcode == "while":
            _add_loop(result, computations, attributes, operation, runs=runs)
        elif opcode in ("call", "conditional", "async-start"):
            for called in re.findall(
                r"%([\w.\-]+)", " ".join(re.findall(r"(?:calls|to_apply|computations?)=(\{.*?\}|\S+)", attributes))
            ):
                _add(result, computations, called, runs=runs)
        elif cycles:
            result.total += runs * int(cycles[1])
            result.parts[operation] += runs * int(cycles[1])
        else:
            for inner in _silent(computations, line, opcode):
                result.silent[f"{inner} {_short(shape)} {operation}"] += runs
        if opcode.removesuffix("-start") in COLLECTIVES:
            result.collectives[f"{opcode.removesuffix('-start')} {_short(shape)}"] += runs


def _add_loop(
    result: Estimate, computations: dict[str, list[str]], attributes: str, operation: str, *, runs: int
) -> None:
    condition, body = (re.search(rf"{key}=%?([\w.\-]+)", attributes)[1] for key in ("condition", "body"))
    trips = _trips(computations[condition])
    before = result.total
    _add(result, computations, body, runs=runs * (trips or 1))
    if trips is None:
        result.loops.append((operation, (result.total - before) // runs))


def _trips(condition: list[str]) -> int | None:
    """Return how often a loop runs that counts from 0 to a constant, or None."""
    constants = [int(n) for line in condition for n in re.findall(r" = s32\[\]\S* constant\((\d+)\)", line)]
    comparisons = [line for line in condition if "compare(" in line]
    counts = len(constants) == len(comparisons) == 1 and "direction=LT" in comparisons[0]
    return constants[0] if counts else None


def _silent(computations: dict[str, list[str]], line: str, opcode: str) -> list[str]:
    """Return the names of the operations of an instruction without an estimate that take time."""
    if opcode == "fusion":
        inner = computations.get(re.search(r"calls=%?([\w.\-]+)", line)[1], [])
        matches = [(each, _INSTRUCTION.match(each)) for each in inner]
        return [name for each, match in matches if match for name in _silent(computations, each, match[3])]
    if opcode not in SILENT:
        return []
    target = re.search(r'custom_call_target="([^"]*)"', line)
    name = target[1] if target else opcode
    return [] if name in FREE else [name]


def _operation(attributes: str) -> str:
    """Return the name of the operation in the source, without numbers and the functions around it."""
    name = re.search(r'op_name="([^"]*)"', attributes)
    short = re.sub(r"\d+", "N", re.sub(r"jit\(\w*\)/|closed_call/|body/", "", name[1])) if name else "?"
    return short if len(short) <= 70 else f"...{short[-67:]}"


def _short(shape: str) -> str:
    """Return a shape without its layout."""
    return re.sub(r"\{[^}]*\}", "", shape)

"""Runs the kernels of `gpu_driver` one instruction after the other, without a GPU.

It knows the instructions that they use and no other: an unknown one fails the test. Threads run one
after the other, which is enough for kernels whose threads do not wait for each other.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

ENTRY = re.compile(r"\.entry (\w+)\(([^)]*)\) \{(.*?)\n\}", re.DOTALL)
BITS = {"u32": 32, "b32": 32, "u64": 64, "b64": 64}


class Kernel:
    """One entry of a module."""

    def __init__(self, module: str, name: str) -> None:
        ((parameters, body),) = [it[1:] for it in ENTRY.findall(module) if it[0] == name]
        self.parameters = [it.split()[-1] for it in parameters.split(",")]
        self.code: list[str] = []
        self.labels: dict[str, int] = {}
        for text in re.split(r"[;\n]", body):
            words = text.strip()
            if (label := re.match(r"(\w+):\s*", words)) is not None:
                self.labels[label[1]] = len(self.code)
                words = words[label.end() :]
            if words and not words.startswith(".reg"):
                self.code.append(words)

    def run(self, blocks: int, threads: int, memory: dict[int, int], *given: int) -> None:
        """Every thread; `memory` has words of 32 bits by address."""
        for block in range(blocks):
            for thread in range(threads):
                special = {"tid": thread, "ctaid": block, "ntid": threads, "nctaid": blocks}
                self._thread(special, memory, dict(zip(self.parameters, given, strict=True)))

    def _thread(
        self, special: Mapping[str, int], memory: dict[int, int], given: Mapping[str, int]
    ) -> None:
        registers: dict[str, Any] = {}

        def value(word: str, kind: str) -> Any:
            if word.startswith("%") and "." in word:
                return special[word[1:].split(".")[0]]
            if word.startswith("%"):
                return registers[word]
            if word.startswith("0f"):
                return np.uint32(int(word[2:], 16)).view(np.float32)
            return int(word)

        at = 0
        while at < len(self.code):
            words, at = self.code[at], at + 1
            if words.startswith("@"):
                guard, words = words.split(maxsplit=1)
                if registers[guard.strip("@!")] is guard.startswith("@!"):
                    continue
            name, _, rest = words.partition(" ")
            if name == "ret":
                return
            if name == "bra":
                at = self.labels[rest.strip()]
                continue
            names = [it.strip() for it in rest.split(",")]
            if name.startswith(("st.", "atom.")):
                _store(name, names, registers, memory)
                continue
            if name.startswith("ld.param"):
                registers[names[0]] = given[names[1].strip("[]")]
                continue
            if name.startswith("ld.global"):
                registers[names[0]] = memory[registers[names[1].strip("[]")]]
                continue
            kind = name.rsplit(".", 1)[1]
            registers[names[0]] = _result(name, kind, [value(it, kind) for it in names[1:]])


def _store(name: str, names: list[str], registers: dict[str, Any], memory: dict[int, int]) -> None:
    if name == "st.global.u32":
        memory[registers[names[0].strip("[]")]] = int(registers[names[1]])
    elif name == "atom.global.add.u64":
        address = registers[names[1].strip("[]")]
        registers[names[0]] = memory[address]
        memory[address] += int(names[2])
    else:
        raise AssertionError(name)


def _result(name: str, kind: str, given: list[Any]) -> Any:
    """What an instruction without memory gives."""
    match name:
        case "mov.u32" | "mov.f32":
            return given[0]
        case "mov.b32":
            return int(np.float32(given[0]).view(np.uint32))
        case "mul.wide.u32":
            return given[0] * given[1]
        case "cvt.u64.u32" | "cvt.u32.u64":
            return given[0] & ((1 << BITS[name.split(".")[1]]) - 1)
        case "setp.ge.u64":
            return given[0] >= given[1]
        case "setp.lt.u32":
            return given[0] < given[1]
        case "setp.eq.u32":
            return given[0] == given[1]
        case "neg.f32":
            return -given[0]
        case "mul.rn.f32":
            return np.float32(given[0] * given[1])
        case "fma.rn.f32":
            product = np.float64(given[0]) * np.float64(given[1])
            return np.float32(product + np.float64(given[2]))
    results = {
        "add": lambda a, b: a + b,
        "xor": lambda a, b: a ^ b,
        "mul.lo": lambda a, b: a * b,
        "shr": lambda a, b: a >> b,
        "shl": lambda a, b: a << b,
    }
    return results[name.rsplit(".", 1)[0]](*given) & ((1 << BITS[kind]) - 1)

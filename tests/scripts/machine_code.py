# SPDX-License-Identifier: MIT
"""Reads the machine code of a library or program, x86-64 or arm64, out of objdump's text."""

import re
import subprocess

LINE = re.compile(r"\s+([0-9a-f]+):\s+(\S+)\s*(.*)")
HEAD = re.compile(r"([0-9a-f]+) <([^>]+)>:$")
TARGET = re.compile(r"([0-9a-f]+) <([^>+]+)(\+0x[0-9a-f]+)?>")


def name_of(symbol):
    """Without @plt, and without what the compiler appends to the copies and cold parts it makes."""
    return re.split(r"[@.]", symbol)[0]


class Instruction:
    """What ends a path, where it goes on, and whom it calls: `next` and `jump` are addresses in the same file or None, `callee` a name."""

    def __init__(self, address, operation, operands, function):
        self.address = address
        self.operation = operation
        self.operands = operands
        self.function = function
        self.next = None  # where it goes on if it does not jump
        self.jump = None  # where it jumps to
        self.call = None  # whom it calls
        self.callee = None  # its name, or that of whom it jumps to; "?" through a pointer
        self.leaves = False  # returns, or jumps to what is not in this file

    def __str__(self):
        return f"{self.operation} {self.operands}".strip()


class Code:
    """The instructions of a file by address, and its functions: {name: [addresses it begins at]}."""

    def __init__(self, path, objdump="objdump"):
        text = subprocess.run([objdump, "-d", "--no-show-raw-insn", path], check=True, capture_output=True, text=True).stdout
        self.machine = "arm64" if "aarch64" in text.split("Disassembly", 1)[0] else "x86-64"
        self.instructions = {}
        self.functions = {}
        self.files = self.read_files(path, objdump)
        self.parse(text)

    def read_files(self, path, objdump):
        """{address: source file} of local functions."""
        files, file = {}, None
        for line in subprocess.run([objdump, "-t", path], check=True, capture_output=True, text=True).stdout.splitlines():
            words = line.split()
            if "df" in words:
                file = words[-1]
            elif file and " F " in line:
                files[int(words[0], 16)] = file
        return files

    def begins(self, name):
        """Addresses of the functions called "name", or "file.c:name"."""
        file, _, function = name.rpartition(":")
        found = [address for address in self.functions.get(function, ()) if not file or self.files.get(address) == file]
        return [address for address in found if not re.search(r"\.(cold|part)", self.instructions[address].function)]

    def name_at(self, instruction):
        return name_of(instruction.function)

    def is_inside(self, instruction):
        """Does it jump within its own function?"""
        return instruction.jump is not None and self.instructions[instruction.jump].function == instruction.function

    def parse(self, text):
        function = before = None
        for line in text.splitlines():
            match = HEAD.match(line)
            if match:
                function, before = match[2], None
                if "@plt" in function:
                    function = None  # it is the function it leads to, which is not ours to look into
                else:
                    self.functions.setdefault(name_of(function), []).append(int(match[1], 16))
                continue
            match = LINE.match(line)
            if function is None or match is None:
                continue
            instruction = Instruction(int(match[1], 16), match[2], match[3].split("//")[0].strip(), function)
            if before is not None and before.next is None and not before.leaves and not before.is_jump:
                before.next = instruction.address
            self.instructions[instruction.address] = instruction
            self.understand(instruction)
            if before is not None and instruction.operation == "blr" and before.operands.startswith("x0, x0, #"):
                instruction.callee = "__tls_get_addr"  # the end of the sequence for a thread's own variable: its descriptor is called with x0
            before = instruction
        for instruction in self.instructions.values():
            for target in (instruction.jump, instruction.call):
                if target is not None and target not in self.instructions:
                    instruction.leaves = instruction.leaves or target == instruction.jump
            if instruction.jump not in self.instructions:
                instruction.jump = None
            if instruction.call not in self.instructions:
                instruction.call = None

    def understand(self, instruction):
        operation = instruction.operation
        if operation in ("notrack", "bnd", "repz", "rep") and re.match(r"(ret|jmp|call)", instruction.operands):
            operation, _, instruction.operands = instruction.operands.partition(" ")
        target = TARGET.search(instruction.operands)
        instruction.is_jump = False
        if self.machine == "arm64":
            returns = operation in ("ret", "br")
            calls = operation in ("bl", "blr")
            jumps = operation == "b"
            branches = operation.startswith(("b.", "cb", "tb"))
        else:
            returns = operation.startswith("ret") or operation in ("hlt", "ud2")
            calls = operation.startswith("call")
            jumps = operation.startswith("jmp")
            branches = operation.startswith("j") and not jumps
        if returns:
            instruction.leaves = True
            instruction.callee = "?" if operation == "br" else None
        elif calls:
            instruction.callee = name_of(target[2]) if target else "?"
            instruction.call = int(target[1], 16) if target else None
        elif jumps or branches:
            instruction.callee = name_of(target[2]) if target else "?"
            instruction.jump = int(target[1], 16) if target else None
            instruction.is_jump = jumps
            instruction.leaves = jumps and target is None

# SPDX-License-Identifier: GPL-3.0-or-later
"""A page of docs/: its blocks, the commands in them with what they print, and
what of that may differ from one time to another."""
import re
import sys

# Languages of files and programs, which nobody types.
SOURCES = ("yaml", "cpp", "json", "mermaid", "nginx", "text")
VOLATILE = [
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?(Z|\+\d\d(:\d\d)?)?"),
     "DATE"),
    (re.compile(r"\d{4}-\d\d-\d\d"), "DAY"),
    (re.compile(r"\b\d\d:\d\d(:\d\d)?\b"), "TIME"),
    (re.compile(r"\b[\d.]+ ?(ns|us|µs|ms|s|m|h)\b"), "DURATION"),
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "ID"),
    (re.compile(r"\b([0-9a-f]{16}){1,2}\b"), "ID"),
    (re.compile(r"\b(epoch|sequence) \d+"), r"\1 N"),
    (re.compile(r"(~|(/[\w.-]+)*)/\.config/"), "~/.config/"),
    (re.compile(r"\b[\w-]+-\d+-[0-9a-f]{4}\b"), "COLLECTOR"),
    (re.compile(r"(127\.0\.0\.\d+):[3-6]\d{4}\b"), r"\1:PORT"),
    (re.compile(r"\d+ +ok$"), "N ok"),  # records stored
    # Where in the plot's columns the present five minutes are.
    (re.compile(r"\d\d-\d\d TIME"), "DATE"),
    (re.compile(r"[\d.]+ B/s │"), "RATE │"),
    (re.compile(r"│[ ▁▂▃▄▅▆▇█]*$"), "│ BARS"),
    (re.compile(r" +"), " "),
    (re.compile(r"-{2,}"), "--"),
]

# And where packets come and go meanwhile.
TRAFFIC = [
    (re.compile(r'"(packets|bytes|totalPackets|totalBytes)": "\d+"'),
     r'"\1": "N"'),
    (re.compile(r"bytes=\d+B"), "bytes=N"),
    (re.compile(r"^(nfmeter_counter_\w+_total\{.*\}) \d+"), r"\1 N"),
    (re.compile(r"\d[\d.]* [KMG]?i?B(/s)?"), "AMOUNT"),
    (re.compile(r"\d[\d.]*[kM]?/s"), "RATE"),
    (re.compile(r"\d[\d.]*[kM]?( +AMOUNT)"), r"N\1"),
    (re.compile(r"^ *AMOUNT │"), "AMOUNT │"),
]


class Block:
    """What stands between two fences, or is indented by four."""

    def __init__(self, first, kind, comment):
        self.first = first  # the line of its text, from 0
        self.kind = kind    # "console", "yaml", ..., "indented"
        self.comment = comment
        self.lines = []

    def first_line(self):
        return next(filter(str.strip, self.lines)).strip()


# Before a block that a machine with systemd runs: as it is after the one before,
# or with nfmeter's package newly installed, or without it. With "here and" it is
# run twice.
MACHINE = re.compile(
    r"(here and )?on a machine(?:: (with|without) the package)?")


def is_for_machine(block):
    return MACHINE.fullmatch(block.comment) is not None


def blocks_of(lines):
    found = []
    comment = ""
    block = None
    fence = None
    for number, line in enumerate(lines):
        if block is not None:
            ends = line.strip() == fence if fence else (
                line.strip() and not line.startswith("    "))
            if not ends:
                block.lines.append(line)
                continue
            while block.lines and not block.lines[-1].strip():
                block.lines.pop()
            found.append(block)
            block = None
            if fence:
                fence = None
                continue
        opening = re.match(r" *(```+)(\w*)", line)
        if opening:
            fence = opening.group(1)
            block = Block(number + 1, opening.group(2) or "plain", comment)
        elif line.startswith("    ") and (number == 0 or
                                          not lines[number - 1].strip() or
                                          comment):
            block = Block(number, "indented", comment)
            block.lines.append(line)
        if line.strip():
            said = re.fullmatch(r"<!-- (.*) -->", line.strip())
            comment = said.group(1) if said else ""
    if block is not None:
        found.append(block)
    return found


def commands_of(block):
    """[(as typed, [expected lines])]"""
    found = []
    for line in block.lines:
        if line.startswith("$ "):
            found.append(([line[2:]], []))
        elif line.startswith("> ") and found and not found[-1][1]:
            found[-1][0].append(line[2:])
        elif found:
            found[-1][1].append(line)
        else:
            sys.exit(f"a console block begins with output: {line}")
    return [("\n".join(typed), out) for typed, out in found]


def stable(line, volatile):
    for pattern, word in volatile:
        line = pattern.sub(word, line)
    return line.rstrip()


def same(expected, printed, traffic=False):
    volatile = TRAFFIC + VOLATILE if traffic else VOLATILE
    expected, printed = (
        "\n".join(stable(line, volatile) for line in lines).rstrip("\n")
        .split("\n") for lines in (expected, printed))
    pattern = "".join("(?:.*\n)*?" if line == "..." else re.escape(line) + "\n"
                      for line in expected)
    return re.fullmatch(pattern, "".join(p + "\n" for p in printed))


def difference(at, typed, expected, printed):
    return "\n".join([f"{at}: $ {typed}", "-- the page says:", *expected,
                      "-- it prints:", *printed])


class Writer:
    """Puts what was printed into the lines of a page, block by block in their
    order."""

    def __init__(self, lines):
        self.lines = list(lines)
        self.shift = 0  # lines added so far

    def replace(self, block, commands):
        """commands: [(as typed, [printed lines])]"""
        new = []
        for typed, printed in commands:
            new += ("$ " + typed.replace("\n", "\n> ")).split("\n")
            new += [line.rstrip() for line in printed]
        begin = block.first + self.shift
        self.lines[begin:begin + len(block.lines)] = new
        self.shift += len(new) - len(block.lines)

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fills manual pages from where the facts stand, so that they stand once.

    @prototypes NAME...   the functions' prototypes as the headers have them; NAME_CLOCK stands for the three functions of each clock
    @verbs                every verb of shmbctl with its help, from its table
    @file                 the file itself, as it lies

usage: fill.py PAGE FILE...        the page on standard output; FILE: headers, the table, the file
"""

import re
import sys
import textwrap


def prototypes(headers):
    """name -> prototype, with those of macros under NAME_CLOCK."""
    found = {}
    for text in headers:
        text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
        text = re.sub(r"^#(?!define).*$", ";", text, flags=re.M)
        text = re.sub(r"^#define \w+_FUNCTIONS\(clock\)\s*\\$", ";", text, flags=re.M).replace("\\\n", "\n").replace("##clock", "CLOCK")
        text = re.sub(r"^\w+_FUNCTIONS\(\w+\)", "", text, flags=re.M).replace("SHMB_PUBLIC", ";")
        for match in re.finditer(r"(?<=[;{}])\s*((?:[a-z_]\w* )+\**(shmb_\w+)\([^;{}]*\))\s*(?=;|$)", text, flags=re.M):
            if not match.group(1).startswith(("static", "typedef")):
                found.setdefault(match.group(2), re.sub(r"\s+", " ", match.group(1)) + ";")
    for name in [name for name in found if name.endswith("_monotonic")]:
        found.setdefault(name.replace("_monotonic", "_CLOCK"), found[name].replace("_monotonic", "_CLOCK"))
    return found


def prototype_block(names, found):
    for name in names:
        if name not in found:
            sys.exit(f"fill.py: no header declares {name}")
        yield "\n".join(textwrap.wrap(found[name], 76, subsequent_indent="        ", break_long_words=False)) + "\n"


def strings(code):
    """Adjacent string literals of C, joined."""
    return "".join(bytes(s, "utf-8").decode("unicode_escape") for s in re.findall(r'"((?:[^"\\]|\\.)*)"', code))


def verbs(table):
    """(usage, summary, help) of each row of the table in tools/main.c."""
    body = re.search(r"static const struct verb verbs\[\] = \{(.*?)\n\};", table, flags=re.S).group(1)
    for row in re.findall(r'\{ "\w+", \d.*?\},?\n(?=\s*\{ "|#|$|\Z)', body + "\n", flags=re.S):
        head = re.match(r'\{ ("\w+"), \d+, \d+, [^"]*("(?:[^"\\]|\\.)*"),\s*("(?:[^"\\]|\\.)*"),\s*(.*)\}', row, flags=re.S)
        yield strings(head.group(2)), strings(head.group(3)), strings(head.group(4))


def verb_block(table):
    for usage, summary, text in verbs(table):
        yield f"## shmbctl {usage}\n\n{summary.capitalize()}.\n\n```\n{text.rstrip()}\n```\n\n"


def fill(page, files):
    for line in page:
        word = line.split()[:1]
        if word == ["@prototypes"]:
            yield "```\n"
            yield from prototype_block(line.split()[1:], prototypes(files))
            yield "```\n"
        elif word == ["@verbs"]:
            yield from verb_block(files[0])
        elif word == ["@file"]:
            yield "```\n" + files[0].rstrip() + "\n```\n"
        else:
            yield line


def read(name):
    with open(name, encoding="utf-8") as file:
        return file.read()


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as page:
        sys.stdout.writelines(fill(page, [read(name) for name in sys.argv[2:]]))

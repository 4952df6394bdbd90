# SPDX-License-Identifier: MIT
"""The fault catalogue as it is written down: the lines, the tests that carry their numbers, and what is taken away from the sources.

Nothing of it is listed twice: the lines are in the file lines, the tests are found by their names, the rest is in the file mutants.
"""
import os
import re
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LINES = 54
DRIVER = "tests/fault/systemd/driver"


def fail(text):
    sys.exit("mutate: " + text)


def text_of(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as file:
        return file.read()


def line_of(test):
    """The catalogue's line a test is about; 0: one of its own."""
    number = re.match(r"fault_(\d+)_", test)
    return int(number.group(1)) if number else 0


class Line:
    def __init__(self, number, title):
        self.number, self.title = number, title
        self.cannot = None  # why nothing can be taken away
        self.not_seeded = []


def lines_read():
    lines = {}
    for number, text in enumerate(text_of("tests/fault/lines").splitlines(), 1):
        title = re.fullmatch(r"(\d+) (.+)", text)
        note = re.fullmatch(r"\t(cannot be|not) seeded: (.+)", text)
        if title:
            line = Line(int(title.group(1)), title.group(2))
            if line.number in lines:
                fail(f"lines:{number}: line {line.number} is there twice")
            lines[line.number] = line
        elif note and lines and note.group(1) == "not":
            line.not_seeded.append(note.group(2))
        elif note and lines and line.cannot is None:
            line.cannot = note.group(2)
        elif text and not text.startswith("#"):
            fail(f"lines:{number}: cannot be read: {text}")
    if sorted(lines) != list(range(1, LINES + 1)):
        fail(f"lines: not the lines 1 to {LINES}")
    return lines


def tests_read():
    """Test name -> what it is in: a file of tests/fault, one elsewhere that carries a line's number, or the driver of the real systemd."""
    tests, twice = {}, []
    for folder, names in (("tests/fault", r"\w+"), ("tests/integration", r"fault_\w+"), ("tests/unit", r"fault_\w+")):
        for file in sorted(os.listdir(os.path.join(TOP, folder))):
            if file.endswith(".c"):
                for test in re.findall(rf"^START_TEST\(({names})\)", text_of(f"{folder}/{file}"), re.M):
                    twice += [test] if test in tests else []
                    tests[test] = f"{folder}/{file}"
    for test in re.findall(r"^check (\w+)$", text_of(DRIVER), re.M):
        twice += [test] if test in tests else []
        tests[test] = DRIVER
    if twice:
        fail("two tests of one name: " + ", ".join(twice))
    return tests


class Entry:
    def __init__(self, test, what, where):
        self.test, self.what, self.where = test, what, where
        self.line = line_of(test)
        self.edits = []  # (file, old lines, new lines)

    def place(self):
        return f"mutants:{self.where}: {self.test}"


def entries_read():
    """== TEST: what is missing / file NAME / lines with - before the old, + before the new, a blank line between two edits."""
    entries, name = [], None
    old, new = [], []

    def flush():
        if old:
            entries[-1].edits.append((name, "".join(old), "".join(new)))
        old.clear()
        new.clear()

    for number, line in enumerate(text_of("tests/fault/mutants").splitlines(), 1):
        if line.startswith("#"):
            continue
        if line.startswith("== "):
            flush()
            test, what = line[3:].split(": ", 1)
            entries.append(Entry(test, what, number))
        elif line.startswith("file "):
            flush()
            name = line[5:]
        elif line.startswith("-"):
            if new:
                flush()
            old.append(line[1:] + "\n")
        elif line.startswith("+"):
            new.append(line[1:] + "\n")
        elif line == "":
            flush()
        else:
            fail(f"mutants:{number}: cannot be read: {line}")
    flush()
    return entries


def edited(entry, read):
    """File -> its text after the entry's edits; `read` gives what it is before. ValueError: an edit does not fit."""
    texts = {}
    for file, old, new in entry.edits:
        text = texts.get(file) or read(file)
        # Whole lines.
        times = ("\n" + text).count("\n" + old)
        if times != 1:
            raise ValueError(f"in {file} this is there {times} times, not once:\n{old}")
        texts[file] = ("\n" + text).replace("\n" + old, "\n" + new)[1:]
    return texts


def line_complaints(lines, tests, entries):
    """Lines that have not got what each must have."""
    wrong = [f"{test}: there is no such line" for test in tests if line_of(test) > LINES]
    tried = {entry.test for entry in entries}
    wrong += [f"{test}: no entry in mutants" for test in tests if line_of(test) > 0 and test not in tried and lines[line_of(test)].cannot is None]
    for line in lines.values():
        what = f"line {line.number}, {line.title}"
        has_entry = any(entry.line == line.number for entry in entries)
        if not any(line_of(test) == line.number for test in tests):
            wrong.append(f"{what}: no test carries its number")
        if not has_entry and line.cannot is None:
            wrong.append(f"{what}: neither entry in mutants nor reason in lines why there is none")
        if has_entry and line.cannot is not None:
            wrong.append(f"{what}: an entry in mutants, and a reason in lines why there is none")
    return wrong


def entry_complaints(tests, entries):
    """Entries that cannot be applied."""
    wrong = []
    for entry in entries:
        if entry.test not in tests:
            wrong.append(f"{entry.place()}: there is no such test")
        if not entry.edits:
            wrong.append(f"{entry.place()}: changes nothing")
        try:
            edited(entry, text_of)
        except (ValueError, OSError) as error:
            wrong.append(f"{entry.place()}: {error}")
    return wrong


def table(lines, tests, entries, verdicts):
    """All lines with what is known of them. `verdicts`: by entry, as mutate found them. Returns the text and how many lines are not as they should be."""
    out, bad = [], 0
    out.append(f"\n{'line':>4}  {'fault':52} {'mutants':>7}  verdict")
    for line in lines.values():
        mine = [entry for entry in entries if entry.line == line.number]
        named = [test for test in tests if line_of(test) == line.number]
        found = [verdicts[entry] for entry in mine]
        verdict = "caught"
        if not named:
            verdict = "NO TEST"
        elif line.cannot is not None:
            verdict = "cannot be seeded: " + line.cannot
        elif not mine:
            verdict = "NO MUTANT"
        elif any(v not in ("red", "skipped") for v in found):
            verdict = "NOT CAUGHT: " + ", ".join(e.what for e, v in zip(mine, found) if v not in ("red", "skipped"))
        elif "skipped" in found:
            verdict = "skipped here"
        bad += verdict.split(":")[0] in ("NO TEST", "NO MUTANT", "NOT CAUGHT")
        out.append(f"{line.number:>4}  {line.title:52} {len(mine):>7}  {verdict}")
        out += [f"{'':6}  {test}" for test in named]
        out += [f"{'':6}  not seeded: {text}" for text in line.not_seeded]
    mine = [entry for entry in entries if entry.line > 0]
    out.append(
        f"{len(lines)} lines, {sum(line_of(test) > 0 for test in tests)} tests, {len(mine)} mutants of them: "
        f"{sum(verdicts[e] == 'red' for e in mine)} caught, {sum(verdicts[e] == 'skipped' for e in mine)} skipped here, "
        f"{sum(verdicts[e] not in ('red', 'skipped') for e in mine)} not caught; "
        f"{sum(line.cannot is not None for line in lines.values())} lines cannot be seeded, {bad} lines not as they should be"
    )
    return "\n".join(out), bad

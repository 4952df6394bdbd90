#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""OpenMetrics text, read strictly: what the specification demands of an exposition is checked, and what our own rules add to it.

    the last line is "# EOF", and every line ends with a newline
    each family has TYPE and HELP, once, before its samples; its samples lie together; a UNIT is the end of its name
    samples of a counter end in _total, those of a histogram in _bucket, _count, _sum, those of a gauge in nothing
    labels are names and escaped strings, none twice; no sample twice; numbers are numbers, those of counters and buckets not negative
    buckets grow, end with +Inf, and that is the count
    only gauge, counter and histogram, which the collectors of the older format read as well
    with prometheus_client installed: its parsers of both formats take it

usage: openmetrics.py FILE
"""

import re
import sys

NAME = r"[a-zA-Z_][a-zA-Z0-9_]*"
LABEL = re.compile(rf'({NAME})="((?:[^"\\\n]|\\[\\n"])*)"')
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (\S+)$")
SUFFIXES = {"gauge": [""], "counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}


class Wrong(Exception):
    pass


def demand(condition, text):
    if not condition:
        raise Wrong(text)


def labels_of(text):
    """'a="b",c="d"' as a dictionary."""
    labels, at = {}, 0
    while text and at < len(text):
        match = LABEL.match(text, at)
        demand(match, f"no label at {text[at:]!r}")
        demand(match[1] not in labels, f"label {match[1]} twice")
        labels[match[1]] = match[2]
        at = match.end()
        demand(at == len(text) or text[at] == ",", f"no comma at {text[at:]!r}")
        at += at < len(text)
        demand(at < len(text) or text[-1] != ",", "a comma at the end")
    return labels


def number_of(text):
    demand(re.fullmatch(r"[+-]?(\d+(\.\d*)?([eE][+-]?\d+)?|Inf)|NaN", text), f"no number: {text!r}")
    return float(text)


class Family:
    def __init__(self, name):
        self.name = name
        self.said = {}
        self.samples = []
        self.keys = set()

    def say(self, what, text):
        demand(what not in self.said, f"{what} of {self.name} twice")
        demand(not self.samples, f"{what} of {self.name} after its samples")
        if what == "TYPE":
            demand(text in SUFFIXES, f"type {text} of {self.name}")
        elif what == "UNIT":
            demand(self.name.endswith("_" + text), f"{self.name} is not in {text}")
        else:
            demand(re.fullmatch(r"(?:[^\\\n]|\\[\\n])+", text), f"HELP of {self.name}")
        self.said[what] = text

    def names(self):
        return [self.name + suffix for suffix in SUFFIXES[self.said.get("TYPE", "gauge")]]

    def add(self, name, labels, value):
        demand("TYPE" in self.said and "HELP" in self.said, f"{self.name} has no TYPE or no HELP")
        if self.said["TYPE"] != "gauge":
            demand(value >= 0, f"{name} is {value}")
        key = (name, *sorted(labels.items()))
        demand(key not in self.keys, f"{name} {labels} twice")
        self.keys.add(key)
        self.samples.append((name, labels, value))

    def finish(self):
        demand("TYPE" in self.said and "HELP" in self.said, f"{self.name} has no TYPE or no HELP")
        if self.said["TYPE"] == "histogram":
            buckets = [(number_of(labels["le"]), value) for name, labels, value in self.samples if name.endswith("_bucket")]
            count = [value for name, _, value in self.samples if name.endswith("_count")]
            demand(len(buckets) > 1 and buckets == sorted(buckets), f"buckets of {self.name} do not grow")
            demand([value for _, value in buckets] == sorted(value for _, value in buckets), f"buckets of {self.name} shrink")
            demand(buckets[-1][0] == float("inf") and [buckets[-1][1]] == count, f"{self.name} has no +Inf bucket of its count")
            demand(len([name for name, _, _ in self.samples if name.endswith("_sum")]) == 1, f"sum of {self.name}")


def parse(text):
    """The families by name."""
    demand(text.endswith("\n"), "no newline at the end")
    lines = text[:-1].split("\n")
    demand(lines[-1] == "# EOF" and lines.count("# EOF") == 1, "no # EOF at the end, or another one")
    families, now = {}, None
    for number, line in enumerate(lines[:-1], 1):
        try:
            comment = re.fullmatch(rf"# (TYPE|UNIT|HELP) ({NAME}) (.+)", line)
            if comment:
                if now is None or now.name != comment[2]:
                    demand(comment[2] not in families, f"{comment[2]} is in two places")
                    now = families[comment[2]] = Family(comment[2])
                now.say(comment[1], comment[3])
                continue
            sample = SAMPLE.fullmatch(line)
            demand(sample, "neither comment nor sample")
            demand(now is not None and sample[1] in now.names(), f"{sample[1]} is not of the family before it")
            now.add(sample[1], labels_of(sample[2]), number_of(sample[3]))
        except Wrong as wrong:
            raise Wrong(f"line {number}: {wrong}: {line}") from None
    for family in families.values():
        family.finish()
    names = [name for family in families.values() for name in family.names()]
    demand(len(names) == len(set(names)), "samples of two families have the same name")
    return families


def parse_elsewhere(text):
    try:
        from prometheus_client import parser
        from prometheus_client.openmetrics import parser as openmetrics
    except ImportError:
        return "not tried with prometheus_client"
    for module in (openmetrics, parser):
        demand(list(module.text_string_to_metric_families(text)), f"{module.__name__} finds nothing")
    return "prometheus_client takes it"


def main():
    # What must not be taken: the parser itself is tried.
    bad = [
        "a 1\n# EOF\n", "# TYPE a gauge\n# HELP a x\na 1\n", "# TYPE a gauge\na 1\n# EOF\n", "# TYPE a counter\n# HELP a x\na 1\n# EOF\n",
        "# TYPE a gauge\n# HELP a x\na 1\na 2\n# EOF\n", '# TYPE a gauge\n# HELP a x\na{b="c\\d"} 1\n# EOF\n', "# TYPE a info\n# HELP a x\n# EOF\n",
        '# TYPE a gauge\n# HELP a x\na{b="c"d"} 1\n# EOF\n', "# TYPE a gauge\n# UNIT a s\n# HELP a x\na 1\n# EOF\n",
        "# TYPE a gauge\n# HELP a x\na 1\n# TYPE b gauge\n# HELP b x\nb 1\na 2\n# EOF\n",
        '# TYPE a histogram\n# HELP a x\na_bucket{le="1"} 2\na_bucket{le="+Inf"} 1\na_count 1\na_sum 1\n# EOF\n',
    ]
    for text in bad:
        try:
            parse(text)
        except Wrong:
            continue
        print(f"taken, but wrong: {text!r}")
        return 1
    with open(sys.argv[1], encoding="utf-8", newline="") as file:
        text = file.read()
    try:
        families = parse(text)
        elsewhere = parse_elsewhere(text)
    except Wrong as wrong:
        print(wrong)
        return 1
    print(f"{len(families)} families, {sum(len(family.samples) for family in families.values())} samples; {elsewhere}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

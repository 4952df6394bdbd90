#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Manual pages, --help and code say the same.

    every exported function stands in exactly one synopsis, and no page names a function that is not there
    every public header's function is exported (or is inline)
    every verb of shmbctl and each of its options stands in its page with the whole of its help, evenly wrapped, and the page has no other
    every option of shmbrokerd stands in its page, and the page has no other
    the configuration's page has every setting that the daemon knows, with its default, and --check-config takes it as it is
    every page that another one refers to is there
    man has nothing to complain of

usage: manual.py SOURCE-DIRECTORY PAGES-DIRECTORY SHMBCTL SHMBROKERD

SHMBCTL and SHMBROKERD are started through $SHMB_TEST_WRAPPER, where it is set.
"""

import os
import re
import subprocess
import sys

source, pages, shmbctl, shmbrokerd = sys.argv[1:5]
wrapper = os.environ.get("SHMB_TEST_WRAPPER", "").split()
sys.path.insert(0, os.path.join(source, "docs", "man"))
sys.dont_write_bytecode = True
import fill  # noqa: E402

failures = 0
checks = 0
CLOCKS = ("monotonic", "realtime", "sequence")


def check(condition, text):
    global failures, checks
    checks += 1
    if not condition:
        failures += 1
        print("FAIL", text)


def read(*parts):
    with open(os.path.join(*parts), encoding="utf-8") as file:
        return file.read()


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


man = os.path.join(source, "docs", "man")
sources = {name[:-4]: read(man, name) for name in sorted(os.listdir(man)) if name.endswith(".scd")}


def by_clock(name):
    for clock in CLOCKS:
        if name.endswith("_" + clock):
            return name[: -len(clock)] + "CLOCK"
    return name


# ---- functions ----

exported = set(re.findall(r"\b(shmb_\w+);", read(source, "libclient", "libshmbroker.map")))
headers = [read(source, "libclient", name) for name in sorted(os.listdir(os.path.join(source, "libclient"))) if re.match(r"shmb(_\w+)?\.h$", name)]
declared = fill.prototypes(headers)
inline = set(re.findall(r"static inline [^;{]*?\b(shmb_\w+)\(", "\n".join(headers)))
where = {}
for page, text in sources.items():
    for line in re.findall(r"^@prototypes (.*)$", text, flags=re.M):
        for name in line.split():
            where.setdefault(name, []).append(page)
for name in sorted(exported):
    in_pages = where.get(name, []) + (where.get(by_clock(name), []) if by_clock(name) != name else [])
    check(len(in_pages) == 1, f"{name} stands in {len(in_pages)} synopses: {' '.join(in_pages)}")
    check(name in declared or by_clock(name) in declared, f"{name} is exported, but no public header declares it")
for name in sorted(declared):
    check(name.endswith("_CLOCK") or name in exported, f"{name} is declared in a public header, but not exported")
known = exported | inline | {by_clock(name) for name in exported} | set(sources)
for page, text in sources.items():
    for name in set(re.findall(r"\*(shmb_\w+)\*\(", text)):
        check(name in known or name + ".3" in sources, f"{page} names {name}(), which is not there")

# ---- commands ----


def rendered(name):
    return run("man", "-P", "cat", "-l", os.path.join(pages, name), env={**os.environ, "MANWIDTH": "200", "LC_ALL": "C.UTF-8"}).stdout


def squeezed(text):
    return re.sub(r"\s+", " ", text.replace("‐\n", "")).strip()


def evenly_wrapped(verb, text):
    """No line of the help is longer than 120 characters, and none could have taken the first word of the next one."""
    lines = text.split("\n")
    for line, following in zip(lines, lines[1:] + [""]):
        check(len(line) <= 120, f"shmbctl {verb} --help has a line of {len(line)} characters: {line}")
        goes_on = line and following.strip() and not following.startswith("  --")
        check(
            not goes_on or len(line) + 1 + len(following.split()[0]) > 120,
            f"shmbctl {verb} --help: this line ends early: {line}",
        )


top_help = run(*wrapper, shmbctl, "--help").stdout
verbs = re.findall(r"^  (\w+)", top_help.split("verbs:")[1].split("options:")[0], flags=re.M)
page = squeezed(rendered("shmbctl.1"))
check(verbs == re.findall(r"## shmbctl (\w+)", "".join(fill.verb_block(read(source, "tools", "main.c")))), "shmbctl(1) has other verbs than --help")
for verb in verbs:
    text = run(*wrapper, shmbctl, verb, "--help").stdout.split("options of all verbs:")[0]
    body = squeezed(text.split("\n", 2)[2])
    check(body in page, f"shmbctl(1) does not have the help of {verb}")
    check("examples:" in body, f"shmbctl {verb} --help has no example")
    evenly_wrapped(verb, text.split("\n", 2)[2].split("\nexamples:")[0])
for option in set(re.findall(r"^  (--[a-z-]+)", top_help, flags=re.M)):
    check(f"*{option}*" in sources["shmbctl.1"], f"shmbctl(1) does not have {option}")


def daemon_options(text, pattern):
    return set(re.findall(pattern, text))


in_help = daemon_options(run(*wrapper, shmbrokerd, "--help").stdout, r"(?m)^  (--[a-z-]+)")
in_page = daemon_options(sources["shmbrokerd.8"].split("# OPTIONS")[1].split("# SIGNALS")[0], r"\*(--[a-z-]+)\*")
check(in_help == in_page, f"shmbrokerd(8) and --help differ in {' '.join(sorted(in_help ^ in_page))}")

# ---- configuration ----

example = os.path.join(source, "docs", "shmbrokerd.conf")
settings = set(re.findall(r'\[SETTING_\w+\] = \{ "([a-z-]+)"', read(source, "daemon", "setting.c")))
said = set(re.findall(r"(?m)^(?:# )?([a-z-]+) = ", read(example).split("[segment *]")[-1]))
check(len(settings) > 5, "no settings found in daemon/setting.c")
check(settings <= said, f"the example does not say {' '.join(sorted(settings - said))}")
check(said <= settings, f"the example says what is no setting: {' '.join(sorted(said - settings))}")
result = run(*wrapper, shmbrokerd, "--check-config", "--config", example)
check(result.returncode == 0, f"the example is refused: {result.stdout}{result.stderr}")

# ---- all pages ----

for name, text in sources.items():
    for other, section in re.findall(r"\*([a-z_.]+)\*\((\d)\)", text):
        if other.startswith(("shmb", "libshmb")):
            known_page = f"{other}.{section}" in sources or other in known
            check(known_page, f"{name} refers to {other}({section}), which is not there")
    result = run("man", "--warnings=w", "-E", "UTF-8", "-Tutf8", "-Z", "-l", os.path.join(pages, name), env={**os.environ, "MANWIDTH": "100"})
    warnings = [line for line in result.stderr.splitlines() if "can't break line" not in line and "cannot adjust" not in line]
    check(result.returncode == 0 and not warnings, f"man about {name}: {' '.join(warnings)}")

print(f"{len(sources)} pages, {len(exported)} functions, {len(verbs)} verbs, {len(settings)} settings: {checks} checks, {failures} failures")
sys.exit(failures != 0)

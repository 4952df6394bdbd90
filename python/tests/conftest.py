# SPDX-License-Identifier: MIT
"""What the tests share: a private daemon for each, real processes beside it, and a look at what is left afterwards.

$SHMB_DAEMON is the daemon under test. $SHMB_TEST_REPORTS is where sanitizers write (see the script `sanitized`), which fails the test that they write in.
"""

import ctypes
import gc
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time

import pytest
import shmbroker

PATIENCE = 30.0
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)
REPORTS = os.environ.get("SHMB_TEST_REPORTS")


class Daemon:
    """shmbrokerd in directories of its own."""

    def __init__(self, config=None):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=f"shmb-test-py-{os.getpid()}-"))
        self.shm = pathlib.Path(tempfile.mkdtemp(prefix=f"shmb-test-py-{os.getpid()}-", dir="/dev/shm"))
        (self.dir / "run").mkdir(mode=0o700)
        self.socket = str(self.dir / "run" / "control.sock")
        self.log = self.dir / "daemon.log"
        self.config = self.dir / "daemon.conf"
        self.config.write_text(config or "")
        self.process = None
        self.programs = []
        self.start()

    def start(self):
        before = self.log.read_text().count("ready") if self.log.exists() else 0
        # A sanitizer is built into the daemon.
        environment = {k: v for k, v in os.environ.items() if k not in ("SHMBROKER_SOCKET", "NOTIFY_SOCKET", "LD_PRELOAD")}
        if REPORTS:
            environment["ASAN_OPTIONS"] += ":leak_check_at_exit=1"
        with open(self.log, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [os.environ["SHMB_DAEMON"], "--runtime-dir", str(self.dir / "run"), "--shm-dir", str(self.shm), "--linger", "infinity",
                 "--config", str(self.config)],
                stderr=log, env=environment,
                # Ends with the interpreter that runs the tests: a sanitizer ends that at once.
                preexec_fn=lambda: LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL))
        until(lambda: self.log.read_text().count("ready") > before or self.process.poll() is not None)
        assert self.process.poll() is None, self.log.read_text()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def fds(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def program(self, text, *arguments):
        """Another Python process: `broker` is its connection. What it prints is read with say()."""
        # A shell's background jobs ignore Ctrl-C, and so would what they start.
        body = ("import os, signal, sys, time, numpy as np, shmbroker\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
                "broker = shmbroker.connect()\n" + textwrap.dedent(text))
        program = subprocess.Popen([sys.executable, "-c", body, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                   env={**os.environ, "SHMBROKER_SOCKET": self.socket})
        self.programs.append(program)
        return program

    def finish(self):
        for program in self.programs:
            if program.poll() is None:
                program.kill()
            program.communicate()
        self.process.terminate()
        try:
            assert self.process.wait(PATIENCE) == 0, self.log.read_text()
        finally:
            self.process.kill()
            shutil.rmtree(self.dir)
            shutil.rmtree(self.shm)


def reports():
    return sorted(os.listdir(REPORTS)) if REPORTS else []


@pytest.fixture(autouse=True)
def no_reports():
    before = reports()
    yield
    assert reports() == before, "a sanitizer has reported something"


def pytest_sessionfinish():
    """What nobody can reach any more, and was allocated by the extension or, for it, by the library."""
    if not REPORTS:
        return
    before = reports()
    gc.collect()
    LIBC.__lsan_do_recoverable_leak_check()
    for name in set(reports()) - set(before):
        path = pathlib.Path(REPORTS) / name
        leaks = [leak for leak in path.read_text().split("\n\n") if leak.startswith("Direct") and "python/core/" in leak]
        if leaks:
            path.write_text("\n\n".join(leaks) + "\n")
        else:
            path.unlink()


def until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never happens"
        time.sleep(0.005)


def line_of(program):
    """The next line that a program prints."""
    line = program.stdout.readline()
    assert line, "the program has ended"
    return line.strip()


@pytest.fixture
def daemon(request):
    """With `@pytest.mark.parametrize("daemon", [TEXT], indirect=True)` TEXT is its configuration."""
    started = Daemon(getattr(request, "param", None))
    before = started.fds()
    yield started
    gc.collect()
    for program in started.programs:
        if program.poll() is None:
            program.kill()
        program.wait()
    try:
        if started.process.poll() is None:
            until(lambda: started.fds() <= before)
    finally:
        started.finish()


@pytest.fixture
def broker(daemon):
    with shmbroker.connect(daemon.socket) as connection:
        yield connection

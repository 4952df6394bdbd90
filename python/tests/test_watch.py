# SPDX-License-Identifier: MIT
"""What happens is told, and what operators ask."""

import asyncio
import multiprocessing
import os
import select
import signal
import threading
import time

import numpy as np
import pytest
import shmbroker
from conftest import line_of, until

U8 = np.dtype("u8")


def test_events(broker, daemon):
    with shmbroker.watch("cam*", daemon.socket) as watch:
        assert watch.next(0) is None and select.select([watch], [], [], 0.02)[0] == []
        before = time.time_ns()
        broker.ring_writer("other", U8).close()
        writer = broker.ring_writer("camera", U8)
        assert select.select([watch], [], [], 20)[0]
        made = watch.next(20)
        assert (made.kind, made.segment, made.pid, made.uid) == ("created", "camera", os.getpid(), os.getuid())
        assert made.text and made.comm and before <= made.time_ns <= time.time_ns() and made.lost == 0 and made.level in range(8)
        assert watch.next(20).kind == "writer-up"
        reader = broker.ring_reader("camera")
        writer.close()
        reader.close()
        assert [event.kind for event in watch.events(0.3)] == ["reader-joined", "writer-closed", "reader-left"]
        program = daemon.program("""
            writer = broker.ring_writer("camera", np.dtype("u8"))
            time.sleep(1000)""")
        events = iter(watch)
        assert next(events).reason == "next"
        program.kill()
        dead = next(events)
        assert dead.kind == "writer-dead" and dead.pid == program.pid
        broker.remove("camera")
        assert next(events).kind == "removed"
        daemon.kill()
        assert watch.next(0.05) is None
        daemon.start()
        assert next(events).kind == "reconnected"
        assert broker.list()  # has come back, too
        fd = watch.fileno()
    assert watch.closed
    for call in (lambda: watch.next(0), watch.fileno):
        with pytest.raises(shmbroker.Closed):
            call()
    with pytest.raises(OSError):
        os.fstat(fd)
    watch.close()


def test_events_for_async(broker, daemon):
    watch = shmbroker.watch(socket_path=daemon.socket)
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1
            if ticks == 20:
                threading.Thread(target=lambda: broker.ring_writer("r", U8).close()).start()

    async def main():
        other = asyncio.create_task(tick())
        got = []
        async for event in watch:
            got.append(event.kind)
            if event.kind == "writer-closed":
                break
        assert [event async for event in watch.events_async(timeout=0.05)] == []
        other.cancel()
        return got

    assert asyncio.run(asyncio.wait_for(main(), 20)) == ["created", "writer-up", "writer-closed"] and ticks >= 20


def test_a_watch_is_of_one_thread_and_process(daemon):
    watch = shmbroker.watch(None, daemon.socket)
    seen = []
    thread = threading.Thread(target=lambda: seen.append(watch.next(20)))
    thread.start()
    until(lambda: _is_busy(watch))
    for call in (watch.fileno, watch.close):
        with pytest.raises(shmbroker.InUse):
            call()
    shmbroker.connect(daemon.socket).ring_writer("r", U8)
    thread.join()
    assert seen[0].kind == "created"
    with pytest.raises(TypeError):
        watch.__reduce__()
    child = multiprocessing.get_context("fork").Process(target=_in_child, args=(watch,))
    child.start()
    child.join()
    assert child.exitcode == 0 and watch.next(20).kind == "writer-up"
    with pytest.raises(shmbroker.NotFound):
        shmbroker.watch(None, "/nonexistent/socket")
    with pytest.raises(shmbroker.Invalid):
        shmbroker.watch("a" * 300, daemon.socket)


def _is_busy(watch):
    try:
        watch.fileno()
    except shmbroker.InUse:
        return True
    return False


def _in_child(watch):
    for call in (lambda: watch.next(0), watch.fileno):
        with pytest.raises(shmbroker.ForkedError):
            call()


def test_an_interrupted_watch(daemon):
    program = daemon.program("""
        try:
            print("waits", flush=True)
            list(shmbroker.watch("nothing"))
        except KeyboardInterrupt:
            print("interrupted", flush=True)""")
    assert line_of(program) == "waits"
    time.sleep(0.2)
    program.send_signal(signal.SIGINT)
    assert line_of(program) == "interrupted" and program.wait(30) == 0


def test_figures(broker):
    writer, reader = broker.ring_writer("a/ring", U8, capacity=8), broker.ring_reader("a/ring")
    broker.block("a/block", U8)
    broker.ring_writer("b", U8)
    for i in range(20):
        writer.insert(i)
    found = {one.name: one for one in broker.figures("a/*")}
    assert set(found) == {"a/ring", "a/block"} and len(broker.figures()) == 3
    ring, block = found["a/ring"], found["a/block"]
    assert (ring.kind, ring.next, ring.lag, ring.lag_pid, ring.readers, ring.capacity) == ("ring", 20, 20, os.getpid(), 1, 8)
    assert ring.writer == "alive" and ring.writer_pid == os.getpid() and ring.payload_bytes == 8 and ring.looked_ns <= shmbroker.now_ns()
    assert block.next is None and block.lag is None
    for _ in range(7):
        reader.read_next()
    # It shows what it has read when it sleeps.
    with pytest.raises(shmbroker.Timeout):
        reader.wait(0.05)
    later = broker.figures("a/ring")[0]
    assert (later.read, later.lost, later.lag) == (7, 13, 0) and later.segment_id == ring.segment_id
    with pytest.raises(shmbroker.Invalid):
        broker.figures("x" * 300)


@pytest.mark.parametrize("daemon", [f"[user {os.getuid()}]\nbytes-max = 4096\n"], indirect=True)
def test_over_a_quota(broker):
    with pytest.raises(shmbroker.NoSpace, match="bytes-max = 4096"):
        broker.ring_writer("camera", U8)


@pytest.mark.parametrize("daemon", ["[segment cam*]\nstale-time = 1s\n"], indirect=True)
def test_policy_and_reload(broker, daemon):
    policy = broker.policy("camera")
    assert policy["stale-time"] == "1s" and policy["linger"] == "infinity" and not policy.is_there
    assert policy.uid == os.getuid() and policy.may_read and policy.may_write and policy.read_why
    assert policy.patterns[0].pattern == "cam*" and policy.patterns[0].source.endswith("daemon.conf:1")
    assert [s.source for s in policy.settings if s.name == "stale-time"] == [f"{daemon.config}:2"]
    with pytest.raises(KeyError):
        policy["nothing"]
    if os.getuid() == 0:
        assert broker.policy("camera", "nobody").uid == broker.policy("camera", 65534).uid == 65534
        assert broker.policy("camera", 12345).uid == 12345
    with pytest.raises(KeyError):
        broker.policy("camera", "no-such-user")
    with pytest.raises(ValueError):
        broker.policy("camera", 1 << 40)
    with pytest.raises(shmbroker.Invalid):
        broker.policy("../camera")
    daemon.config.write_text("[segment cam*]\nstale-time = 2s\n[segment x]\nlinger = 1s\n")
    result = broker.reload()
    assert (result.files, result.not_applied, result.notes) == (1, 0, "") and broker.policy("camera")["stale-time"] == "2s"
    daemon.config.write_text("[segment cam*]\nnonsense = 2s\n")
    with pytest.raises(shmbroker.Invalid, match="daemon.conf:2.*nonsense"):
        broker.reload()
    status = broker.status()
    assert "nonsense" in status.config_error and broker.policy("camera")["stale-time"] == "2s"
    daemon.config.write_text("")
    broker.reload()
    assert broker.status().config_error == "" and broker.status().config_files == (str(daemon.config),)


def test_users(broker):
    before = broker.users()[0]
    assert before.uid is None and before.memory_bytes_max is None
    with broker.ring_writer("users/one", U8, capacity=8):
        both = broker.users()
    assert [user.uid for user in both] == [None, os.getuid()]
    assert both[0].segments == before.segments + 1 and both[0].memory_bytes > before.memory_bytes
    assert both[1].clients == 1 and both[1].over_quota == 0 and both[1].requests >= 3


def test_gc(broker):
    broker.ring_writer("left", U8).close()
    kept = broker.ring_writer("kept", U8)
    would = broker.gc(dry_run=True)
    assert [(one.name, one.outcome, one.is_foreign, one.uid) for one in would] == [("left", "would go", False, os.getuid())]
    assert would[0].memory_bytes > 0 and would[0].due_ns is None and would[0].reason
    assert [(one.name, one.outcome) for one in broker.gc()] == [("left", "removed")]
    assert [one.name for one in broker.list()] == ["kept"] and kept.next_number == 0
    assert broker.gc(dry_run=True, foreign=True) == [] or all(one.is_foreign for one in broker.gc(dry_run=True, foreign=True))

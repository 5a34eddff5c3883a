#!/usr/bin/env python3
"""two_disks.py MNT BEFORE AFTER COMMAND: loads databases a and b, runs COMMAND, goes on.

Each database has a writer (100 lines a write) and a reader (count(*), which must not be less than what
was acknowledged when it was asked). Prints, for BEFORE seconds before COMMAND and AFTER seconds behind it:

    b.acked_before b.acked_after    rows acknowledged
    b.queries_before b.queries_after
    b.errors_before b.errors_after  of writes and queries together; b.last_error
    b.wait_before b.wait_after      the longest that one call took, seconds
    b.wrong                         answers that lacked acknowledged rows
    b.acked                         in all; a.acked_early: what was acknowledged 2.5 s before COMMAND
"""
import os
import subprocess
import sys
import threading
import time

mnt, before, after, command = sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
phase = 'before'
done = False


class Load:
    def __init__(self, db):
        self.db = db
        self.acked = 0
        self.wrong = 0
        self.last_error = ''
        self.n = {k + p: 0 for k in ('acked_', 'queries_', 'errors_', 'wait_') for p in ('before', 'after')}
        self.early = []  # (time, acked)

    def timed(self, fn):
        t0 = time.monotonic()
        p = phase
        try:
            return fn()
        except OSError as e:
            self.last_error = str(e)
            self.n['errors_' + p] += 1
            time.sleep(0.02)
            return None
        finally:
            took = time.monotonic() - t0
            # What was under way when the disk went away belongs to the time behind it.
            self.n['wait_' + phase] = max(self.n['wait_' + phase], took)

    def count(self):
        acked = self.acked
        with open(f'{mnt}/q/SELECT count(*) FROM {self.db}.t') as f:
            n = int(f.read().split('\n')[1])
        self.wrong += n < acked
        self.n['queries_' + phase] += 1

    def writer(self):
        while not done:
            fd = self.timed(lambda: os.open(f'{mnt}/{self.db}/t/ingest', os.O_WRONLY | os.O_APPEND))
            if fd is None:
                continue
            while not done and self.timed(lambda: self.write_once(fd)):
                pass
            self.timed(lambda: os.close(fd))

    def write_once(self, fd):
        now = time.time_ns() - 60 * 10**9
        text = ''.join(f'm,h=h{i % 7} v={self.acked + i}i {now + i}\n' for i in range(100)).encode()
        if os.write(fd, text) != len(text):
            raise OSError(0, 'a short write')
        self.acked += 100
        self.n['acked_' + phase] += 100
        self.early.append((time.monotonic(), self.acked))
        return True

    def reader(self):
        while not done:
            self.timed(self.count)


loads = [Load('a'), Load('b')]
threads = [threading.Thread(target=f, daemon=True) for ld in loads for f in (ld.writer, ld.reader)]
for t in threads:
    t.start()
time.sleep(before)
struck = time.monotonic()
phase = 'after'
subprocess.run(['bash', '-c', command], check=True)
time.sleep(after)
done = True
for t in threads:
    t.join(30)
for ld in loads:
    for k, v in ld.n.items():
        print(f'{ld.db}.{k}={v:.3f}' if isinstance(v, float) else f'{ld.db}.{k}={v}')
    early = [n for at, n in ld.early if at < struck - 2.5]
    print(f'{ld.db}.acked={ld.acked}')
    print(f'{ld.db}.acked_early={early[-1] if early else 0}')
    print(f'{ld.db}.wrong={ld.wrong}')
    print(f'{ld.db}.last_error={ld.last_error}')
    print(f'{ld.db}.hangs={sum(t.is_alive() for t in threads)}')

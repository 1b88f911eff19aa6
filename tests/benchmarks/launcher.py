"""Runs one command and prints what it cost: ``python -I -S launcher.py LIMIT_S LOG COMMAND …``.

A process of its own, because the kernel lets a program's peak of resident memory begin at that of the process it was
forked from: this one is small.
"""

import json
import os
import signal
import sys
import time


def main() -> None:
    limit_s, log, command = float(sys.argv[1]), sys.argv[2], sys.argv[3:]
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    began = time.perf_counter()
    child = os.posix_spawn(
        command[0],
        command,
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, output, 1), (os.POSIX_SPAWN_DUP2, output, 2)],
        setsid=True,
    )
    signal.signal(signal.SIGALRM, lambda *_: os.killpg(child, signal.SIGKILL))
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    _, status, usage = os.wait4(child, 0)
    wall = time.perf_counter() - began
    cpu = usage.ru_utime + usage.ru_stime
    exit_code = os.waitstatus_to_exitcode(status)
    sys.stdout.write(json.dumps({"exit_code": exit_code, "wall": wall, "cpu": cpu, "peak": usage.ru_maxrss * 1024}))


if __name__ == "__main__":
    main()

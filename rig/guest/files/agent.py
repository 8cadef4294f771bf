"""Runs commands for the host over the serial line.

host:   run ID COMMAND        COMMAND is given to sh -c
guest:  out ID TEXT           one for each line of its output, stderr included; cut after 1000 characters
        exit ID CODE

The guest says `ready MILLISECONDS`, the time since its boot, when it listens. Other lines are not for the host.
"""
import os
import subprocess
import time

from console import open_console, write_line

LINE_CHARACTERS_MAX = 1000


def main() -> None:
    console = open_console()
    # Messages of the kernel go to the same line and would cut ours in two: from here on only its last words do.
    with open("/proc/sys/kernel/printk", "w", encoding="ascii") as file:
        file.write("1")
    write_line(console, f"\nready {time.monotonic_ns() // 1_000_000}")
    for line in lines(console):
        words = line.split(" ", 2)
        if len(words) == 3 and words[0] == "run":
            run(console, words[1], words[2])


def lines(console: int):
    rest = b""
    while True:
        data = os.read(console, 4096)
        *whole, rest = (rest + data.replace(b"\r", b"\n")).split(b"\n")
        for line in whole:
            yield line.decode("utf-8", "replace")


def run(console: int, identifier: str, command: str) -> None:
    process = subprocess.Popen(["/bin/sh", "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace", cwd="/root")
    for line in process.stdout:
        write_line(console, f"out {identifier} {line.rstrip()[:LINE_CHARACTERS_MAX]}")
    write_line(console, f"exit {identifier} {process.wait()}")


main()

"""Counts, and makes each number visible in three places: on the serial line, in memory and (sqlite) on the disk.

Kernel command line:
  workload=sqlite    one row for each number, each in a transaction of its own that is synced (the default)
  workload=memory    each number is written into every page of a region of memory
  workload=idle      the number alone
  workload.interval_ms=10      sleep between two numbers
  workload.payload_bytes=1024  in each row: SHAKE-128 of the number in decimal, so that any row can be checked
  workload.journal=wal         or delete, truncate, persist
  workload.memory_mib=16       size of the region

Serial line, after the commit:  counter NUMBER MILLISECONDS      (since the boot)

A page of memory, little endian, written before and after each commit:
  0   16  magic "HOLDFAST-COUNTER"
  16  8   number that is being committed
  24  8   number that was committed last
  32  8   milliseconds since the boot at that commit
So at any instant: committed <= highest row of the disk <= being committed.
"""
import hashlib
import mmap
import sqlite3
import struct
import time

from console import open_console, option, write_line

DATABASE = "/var/lib/workload/counter.db"
PAGE_BYTES = 4096
MAGIC = b"HOLDFAST-COUNTER"
ATTEMPTED, COMMITTED, COMMITTED_MS = 16, 24, 32


def sqlite_workload():
    database = sqlite3.connect(DATABASE, isolation_level=None)
    database.execute("PRAGMA journal_mode=" + option("workload.journal", "wal"))
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE IF NOT EXISTS counter (n INTEGER PRIMARY KEY, ms INTEGER, payload BLOB)")
    payload_bytes = int(option("workload.payload_bytes", "1024"))
    last = database.execute("SELECT coalesce(max(n), 0) FROM counter").fetchone()[0]

    def commit(number: int) -> None:
        payload = hashlib.shake_128(str(number).encode()).digest(payload_bytes)
        database.execute("INSERT INTO counter VALUES (?, ?, ?)", (number, monotonic_ms(), payload))
    return last, commit


def memory_workload():
    region = mmap.mmap(-1, int(option("workload.memory_mib", "16")) << 20)

    def commit(number: int) -> None:
        for offset in range(0, len(region), PAGE_BYTES):
            struct.pack_into("@Q", region, offset, number)
    return 0, commit


def idle_workload():
    return 0, lambda number: None


def monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def main() -> None:
    kinds = {"sqlite": sqlite_workload, "memory": memory_workload, "idle": idle_workload}
    number, commit = kinds[option("workload", "sqlite")]()
    interval_seconds = float(option("workload.interval_ms", "10")) / 1000
    console = open_console()
    page = mmap.mmap(-1, PAGE_BYTES)
    struct.pack_into("@QQQ", page, ATTEMPTED, number, number, monotonic_ms())
    page[:len(MAGIC)] = MAGIC
    while True:
        number += 1
        struct.pack_into("@Q", page, ATTEMPTED, number)
        commit(number)
        now = monotonic_ms()
        struct.pack_into("@Q", page, COMMITTED, number)
        struct.pack_into("@Q", page, COMMITTED_MS, now)
        write_line(console, f"counter {number} {now}")
        time.sleep(interval_seconds)


main()

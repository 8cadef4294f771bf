"""Prints the rate of this processor's time stamp counter in kHz, measured against the raw clock for 50 ms."""
import ctypes
import mmap
import time

RDTSC = bytes.fromhex("0f31"      # rdtsc
                      "48c1e220"  # shl rdx, 32
                      "4809d0"    # or rax, rdx
                      "c3")       # ret
SAMPLES = 20
INTERVAL_SECONDS = 0.05

code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(RDTSC)
read_counter = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(ctypes.c_char.from_buffer(code)))


def sample():
    """Clock and counter at one instant: of some pairs the one that was read fastest, so not interrupted."""
    pairs = []
    for _ in range(SAMPLES):
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        counter = read_counter()
        after = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        pairs.append((after - before, before, counter))
    return min(pairs)[1:]


first_ns, first_counter = sample()
time.sleep(INTERVAL_SECONDS)
last_ns, last_counter = sample()
print((last_counter - first_counter) * 1_000_000 // (last_ns - first_ns))

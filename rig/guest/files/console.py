"""The guest's side of the serial line: whole lines out, bytes in, and the options of the kernel's command line."""
import os
import tty


def option(name: str, default: str) -> str:
    """The value of NAME=VALUE on the kernel's command line; the last one wins."""
    with open("/proc/cmdline", encoding="utf-8") as file:
        words = file.read().split()
    values = [word.split("=", 1)[1] for word in words if word.startswith(name + "=")]
    return values[-1] if values else default


def open_console() -> int:
    """Opens the console raw: no echo, no translation. A descriptor for reading and writing."""
    descriptor = os.open("/dev/" + option("agent.tty", "ttyS0"), os.O_RDWR | os.O_NOCTTY)
    tty.setraw(descriptor)
    return descriptor


def write_line(descriptor: int, line: str) -> None:
    """Writes one line in one call, so that lines of several processes do not mix (the terminal locks each call)."""
    data = line.encode("utf-8", "backslashreplace") + b"\n"
    while data:
        data = data[os.write(descriptor, data):]

"""Machines of a test: a network, processes and folders of their own, on one Linux computer, by its root alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

NETWORK = "10.213.77"
HERE = f"{NETWORK}.254"  # where this computer is reached by the others


def why_not() -> str:
    """Why there can be none here; nothing if there can."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "needs root"
    if not all(map(shutil.which, ("ip", "unshare"))):
        return "needs iproute2 and util-linux"
    probe = "ip link add htrjand9 type bridge && ip link add htrjand8 type veth peer name htrjand7"
    made = subprocess.run(["unshare", "-nmpu", "--fork", "sh", "-c", probe], capture_output=True)
    return "" if made.returncode == 0 else "may not make namespaces, bridges or cables"


@dataclass
class Host:
    """A machine: a shell in its namespaces, with its own /tmp and /dev/shm."""

    name: str
    address: str
    shell: subprocess.Popen[str]

    def begin(self, command: str) -> None:
        """Begins a command; `end` waits for it."""
        assert self.shell.stdin
        self.shell.stdin.write(f"{command}; echo {self.name} ended: $?\n")
        self.shell.stdin.flush()

    def end(self) -> tuple[int, str]:
        """Exit status and output of the command that was begun."""
        told: list[str] = []
        assert self.shell.stdout
        for line in self.shell.stdout:
            if line.startswith(f"{self.name} ended: "):
                return int(line.rpartition(" ")[2]), "".join(told)
            told.append(line)
        raise AssertionError(f"the shell ended: {''.join(told)}")

    def run(self, command: str) -> str:
        """The output of a command, which must succeed."""
        self.begin(command)
        status, told = self.end()
        assert status == 0, f"{self.name}: {command}: {told}"
        return told

    def pull_the_cable(self) -> None:
        ip("link", "set", link(self.name), "down")


@contextmanager
def hosts(*names: str) -> Iterator[list[Host]]:
    """So many machines on one network, on which this computer is `HERE`; they are gone afterwards."""
    made, run = [], uuid.uuid4().hex[:6]
    bridge = f"htrjand-{run}"
    ip("link", "add", bridge, "type", "bridge")
    try:
        ip("addr", "add", f"{HERE}/24", "dev", bridge)
        ip("link", "set", bridge, "up")
        for number, name in enumerate(names, 1):
            space = f"htrjand-{name}-{run}"
            ip("netns", "add", space)
            made.append(space)
            ip("link", "add", link(name), "type", "veth", "peer", "name", "eth0", "netns", space)
            ip("link", "set", link(name), "master", bridge, "up")
            for command in ("link set lo up", f"addr add {NETWORK}.{number}/24 dev eth0", "link set eth0 up",
                            f"route add default via {HERE}"):  # fmt: skip
                ip("-n", space, *command.split())
        found = [
            Host(name, f"{NETWORK}.{number}", shell(space))
            for number, (name, space) in enumerate(zip(names, made, strict=True), 1)
        ]
        try:
            for host in found:
                host.run(f"hostname {host.name} && mount -t tmpfs tmpfs /tmp && mount -t tmpfs tmpfs /dev/shm")
                host.run("export HOME=/tmp")
            yield found
        finally:
            for host in found:
                host.shell.kill()  # and with the first process of its namespace all others
                host.shell.wait()
    finally:
        for name, space in zip(names, made, strict=False):
            ip("link", "delete", link(name), check=False)  # its space may go a little later
            ip("netns", "delete", space, check=False)
        ip("link", "delete", bridge, check=False)


def link(name: str) -> str:
    """The end of a machine's cable that is plugged in here."""
    return f"htrjand-{name}"[:15]


def shell(space: str) -> subprocess.Popen[str]:
    command = ["ip", "netns", "exec", space, "unshare", "-mpu", "--fork", "--kill-child", "--mount-proc", "sh", "-s"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def ip(*arguments: str, check: bool = True) -> None:
    subprocess.run(["ip", *arguments], check=check, capture_output=True)

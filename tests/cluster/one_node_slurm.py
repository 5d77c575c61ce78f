"""A SLURM of one node, as root, without systemd: what a test needs of it and no more."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel")

_CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={port2}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
MpiDefault=none
KillWait=2
MinJobAge=600
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=test Nodes={host} Default=YES MaxTime=INFINITE State=UP OverTimeLimit=0
"""


def why_not() -> str | None:
    """Why there can be no SLURM here; None where there can."""
    missing = [name for name in PROGRAMS if _program(name) is None]
    if missing:
        return f"{', '.join(missing)} not installed (Debian: slurmctld slurmd slurm-client munge)"
    if os.geteuid() != 0:
        return "starting a SLURM takes root"
    return None


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


class OneNodeSlurm:
    """Daemons in a folder of their own; ends them all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._daemons: list[subprocess.Popen[bytes]] = []
        for name in ("state", "spool"):
            (folder / name).mkdir()
        key = folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        folder.chmod(0o755)
        self._conf = folder / "slurm.conf"
        host = socket.gethostname().split(".")[0]
        self._conf.write_text(
            _CONF.format(host=host, folder=folder, port=_free_port(), port2=_free_port())
        )
        self.env = {**os.environ, "SLURM_CONF": str(self._conf)}

    def start(self, limit_s: float = 60) -> str | None:
        """Start it; why it did not, or None."""
        sock = self.folder / "munge.socket"
        self._daemon("munged", "-F", "--force", f"--key-file={self.folder / 'munge.key'}",
                     f"--socket={sock}", f"--pid-file={self.folder / 'munged.pid'}",
                     f"--log-file={self.folder / 'munged.log'}",
                     f"--seed-file={self.folder / 'munged.seed'}")  # fmt: skip
        if not _wait(sock.exists, 10):
            return "munged did not start"
        self._daemon("slurmctld", "-D", "-f", str(self._conf))
        self._daemon("slurmd", "-D", "-f", str(self._conf))
        if not _wait(lambda: "idle" in self.run("sinfo", "-h", "-o", "%T"), limit_s):
            return f"the node did not come up: {self.run('sinfo')}"
        return None

    def run(self, *command: str) -> str:
        """What a command of SLURM says."""
        done = subprocess.run(
            command, env=self.env, capture_output=True, text=True, check=False, timeout=60
        )
        return done.stdout + done.stderr

    def wait_for(self, job: str, limit_s: float = 180) -> bool:
        """Whether a job ended in time."""
        return _wait(lambda: not self.run("squeue", "-h", "-j", job).strip(), limit_s)

    def stop(self) -> None:
        """End jobs and daemons."""
        self.run("scancel", "--user=root")
        for daemon in reversed(self._daemons):
            daemon.send_signal(signal.SIGTERM)
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()

    def _daemon(self, name: str, *arguments: str) -> None:
        program = _program(name)
        assert program is not None
        log = (self.folder / f"{name}.out").open("wb")
        self._daemons.append(
            subprocess.Popen([program, *arguments], env=self.env, stdout=log, stderr=log)
        )
        log.close()


def _wait(condition: object, limit_s: float) -> bool:
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.25)
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

"""Sweeps as jobs of a real Slurm: what is preempted, out of time or requeued continues by itself, and loses nothing."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from counts import counted
from crash.pace import SWEEP
from crash.verdict import Reference

PROJECT = Path(__file__).parents[2]
TOOL = Path(__file__).with_name("mini-slurm")
SCRIPT = PROJECT / "configs" / "slurm" / "run.sbatch"
CONTROLLER_PORT = 16817
pytestmark = pytest.mark.slow


def missing() -> str:
    """What there is not, of what a real Slurm on this machine needs; "" where it can be started."""
    programs = [name for name in ("slurmctld", "slurmd", "sbatch", "munged") if not shutil.which(name)]
    if programs:
        return f"{', '.join(programs)} not installed (apt-get install slurm-wlm munge)"
    if os.geteuid() != 0:
        return "only root can start a cluster"
    with socket.socket() as probe:
        return "a cluster is running already" if probe.connect_ex(("127.0.0.1", CONTROLLER_PORT)) == 0 else ""


class Cluster(NamedTuple):
    """A cluster of four nodes, n1 to n4, with the environment to use it in, and a project folder."""

    environment: Mapping[str, str]
    project: Path

    def does(self, *command: str | Path, **more: str) -> str:
        environment = {**self.environment, **more}
        done = subprocess.run(command, cwd=self.project, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def submit(self, name: str, *options: str, pace_seconds: float) -> Job:
        arguments = ("configs/paced.yaml", "--results", name)
        number = self.does("sbatch", "--parsable", *options, SCRIPT, *arguments, PACE_SECONDS=str(pace_seconds))
        return Job(self, number.strip(), self.project / name / "paced")


class Job(NamedTuple):
    """A job that runs a sweep, whose results go to `folder`."""

    cluster: Cluster
    number: str
    folder: Path

    def says(self, field: str) -> str:
        found = re.search(rf"\b{field}=(\S+)", self.cluster.does("scontrol", "show", "job", self.number))
        return found[1] if found else ""

    def output(self) -> str:
        file = self.cluster.project / f"sweep-{self.number}.out"
        return file.read_text() if file.exists() else ""

    def epochs(self) -> int:
        """How many epochs its log has."""
        log = self.folder / "log" / "worker-0.jsonl"
        return log.read_text().count('"kind":"epoch"') if log.exists() else 0

    def wait_for(self, is_so: Callable[[], bool], seconds: float = 120) -> None:
        until = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < until, (self.says("JobState"), self.output())
            time.sleep(0.25)

    def ends(self) -> str:
        """How it ends, once it does."""
        self.wait_for(lambda: self.says("JobState") in {"COMPLETED", "FAILED", "TIMEOUT", "CANCELLED"}, 180)
        return self.says("JobState")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if reason := missing():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("cluster")
    project = folder / "project"
    (project / "configs").mkdir(parents=True)
    (project / "models").symlink_to(PROJECT / "models")
    (project / "configs" / "paced.yaml").write_text(SWEEP)
    environment = {
        **os.environ,
        "SLURM_CONF": str(folder / "slurm" / "slurm.conf"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": f"{PROJECT}:{PROJECT / 'tests'}",
    }
    subprocess.run([TOOL, "start", folder / "slurm"], check=True, timeout=60, capture_output=True)
    try:
        yield Cluster(environment, project)
    finally:
        all_jobs_end(environment)
        subprocess.run([TOOL, "stop", folder / "slurm"], check=True, timeout=60)


def all_jobs_end(environment: Mapping[str, str]) -> None:
    """Cancel what a failed test has left."""
    subprocess.run(["scancel", "--user=root"], env=environment, check=False, timeout=60)
    until = time.monotonic() + 30
    while time.monotonic() < until and subprocess.check_output(["squeue", "--noheader"], env=environment):
        time.sleep(0.25)


@pytest.fixture(scope="module")
def reference(cluster: Cluster) -> Reference:
    """The same sweep, which nothing disturbed."""
    cluster.does("sweep", "run", "configs/paced.yaml", "--results", "undisturbed")
    return Reference(cluster.project / "undisturbed" / "paced")


class Jobs(NamedTuple):
    """A job to each node. They run side by side, because Slurm takes its time over all that happens to them."""

    out_of_time: Job
    requeued: Job
    preempted: Job
    cancelled: Job
    urgent: Job
    """The one that wants another's node."""


@pytest.fixture(scope="module")
def jobs(cluster: Cluster) -> Jobs:
    """Each with what happens to it."""
    # It takes longer than its minute, and is to hear of that early, because Slurm looks only now and then.
    late = cluster.submit("out-of-time", "--nodelist=n1", "--time=1", "--signal=B:USR1@40", pace_seconds=0.5)
    others = [
        cluster.submit(name, f"--nodelist={node}", pace_seconds=0.4)
        for name, node in (("requeued", "n2"), ("preempted", "n3"), ("cancelled", "n4"))
    ]
    for job in others:
        job.wait_for(lambda job=job: job.epochs() > 5)
    cluster.does("scontrol", "requeue", others[0].number)
    urgent = cluster.does("sbatch", "--parsable", "--partition=high", "--nodelist=n3", "--wrap=true").strip()
    cluster.does("scancel", others[2].number)
    return Jobs(late, *others, urgent=Job(cluster, urgent, cluster.project))


def test_a_cancelled_job_stays_cancelled_and_a_new_one_continues(
    cluster: Cluster, reference: Reference, jobs: Jobs
) -> None:
    job = jobs.cancelled
    assert job.ends() == "CANCELLED"
    job.wait_for(lambda: "stopped cleanly; " in job.output())
    then = cluster.submit("cancelled", "--nodelist=n4", pace_seconds=0.0)
    assert then.ends() == "COMPLETED"
    assert job.says("JobState") == "CANCELLED"
    assert reference.problems(job.folder, ()) == []


def test_a_mistake_in_the_config_fails_the_job_once(cluster: Cluster, jobs: Jobs) -> None:
    (cluster.project / "configs" / "wrong.yaml").write_text("name: wrong\n")
    number = cluster.does("sbatch", "--parsable", "--nodelist=n4", SCRIPT, "configs/wrong.yaml").strip()
    job = Job(cluster, number, cluster.project)
    assert job.ends() == "FAILED"
    assert (job.says("ExitCode"), job.says("Restarts")) == ("2:0", "0")
    assert "error: configs/wrong.yaml" in job.output()


def test_a_requeued_job_continues_and_ends(reference: Reference, jobs: Jobs) -> None:
    job = jobs.requeued
    assert job.ends() == "COMPLETED"
    assert job.says("Restarts") == "1"
    assert "stopped cleanly; " in job.output()
    assert reference.problems(job.folder, ()) == []


def test_a_preempted_job_makes_room_comes_again_and_continues(reference: Reference, jobs: Jobs) -> None:
    job = jobs.preempted
    assert job.ends() == "COMPLETED"
    assert jobs.urgent.says("JobState") == "COMPLETED"
    assert "stopped cleanly; " in job.output()
    assert reference.problems(job.folder, ()) == []


def test_a_job_that_runs_out_of_time_is_told_in_time_and_comes_again_by_itself(
    reference: Reference, jobs: Jobs
) -> None:
    job = jobs.out_of_time
    assert job.ends() == "COMPLETED"
    assert int(job.says("Restarts")) >= 1
    assert "stopping when these epochs have ended (SIGUSR1)" in job.output()
    assert reference.problems(job.folder, ()) == []
    counted(
        "jobs of a real Slurm", "1 requeued, 1 preempted, 1 out of time, 1 cancelled, 1 with a mistake in its config"
    )

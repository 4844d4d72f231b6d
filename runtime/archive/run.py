"""An archive run: lists what is to be read, has it read by a pool of workers on Ray Data, and counts."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ... import __version__
from ..bundled import MODELS
from ..errors import HtrjandError, UsageError
from ..formats import parts_of
from ..info import sha256
from ..quiet import quiet_stderr
from ..recognizer import BUNDLED_LM, LANGUAGE, NEURAL
from .results import Results, files_to_read
from .source import Source, check_names, holds_many
from .store import Entry, Store
from .worker import Task, Worker, block_of

BLOCK = 256  # files that are read and written down together, at most
BLOCK_BYTES = 2**28  # of them, but for a single file
MANY_PAGES = 8  # times their size is what PDFs and TIFF files count: they may have hundreds of pages
SHARES = 8  # blocks for each worker, at least, so that all end at about the same time
STORE_MEMORY = 128 * 2**20  # bytes of Ray's object store: only compressed names and counts go through it
KNOCK = 10  # seconds in which a cluster is to answer
LOOK = 0.5  # seconds between two looks at the tally


@dataclass
class Outcome:
    """What a run did: pages of this run, those of them that failed, files that were read before, and seconds."""

    pages: int = 0
    failed: int = 0
    before: int = 0
    seconds: float = 0.0


def archive(
    task: Task, *, workers: int | None = None, address: str | None = None, block: int = BLOCK,
    show: Callable[[int, int, int, float], None] | None = None, log: Callable[[str], None] = print,
) -> Outcome:  # fmt: skip
    """Reads all of a source that is not read yet.

    Args:
        task: what to read, with what, where to.
        workers: pages read at a time, each by one core; None: as many as the cluster or the machine has cores.
        address: of a Ray cluster to join (`auto`, or `host:port`); None: Ray is started here, and ended.
        block: files that are written down together. A run that is killed reads at most those again that each worker
            had begun.
        show: told twice a second: files to read, pages read, those that failed, seconds.
        log: takes what there is to report.

    Raises:
        HtrjandError: the source or the target cannot be used.
    """
    task = replace(task, source=absolute(task.source), target=absolute(task.target), run=uuid.uuid4().hex)
    if Store(task.source).shown() == Store(task.target).shown():
        raise UsageError(f"{Store(task.target).shown()}: is what is to be read; name another place for the results")
    source, results = Source(Store(task.source)), Results(Store(task.target))
    entries = source.entries()
    if task.form:
        check_names(entries)
    results.claim(signature(task))
    todo = files_to_read(entries, results.done())
    outcome = Outcome(before=len(entries) - len(todo))
    log(f"{len(entries)} files, {outcome.before} of them read before")
    if not todo:
        return outcome
    begun = time.monotonic()
    with ray_started(address, workers) as (ray, cores):
        pool = min(workers or cores, len(todo))
        blocks = blocks_of(todo, pool, block)
        with closing(results_of(ray, task, blocks, pool, len(todo), show)) as blocks_told:
            for told in blocks_told:
                if told["error"]:
                    raise HtrjandError(str(told["error"]))
                outcome.pages += int(told["pages"])
                outcome.failed += int(told["failed"])
    results.tidy()
    outcome.seconds = time.monotonic() - begun
    return outcome


def absolute(address: str) -> str:
    """The address as other processes understand it, which may have other working folders."""
    return address if "://" in address else os.path.abspath(os.path.expanduser(address))


def signature(task: Task) -> dict[str, Any]:
    """What decides what is in the results, in plain words and sums."""
    models = task.models
    lm = MODELS / LANGUAGE if models.lm == BUNDLED_LM else models.lm
    neural = MODELS / NEURAL if models.neural_lm == BUNDLED_LM else models.neural_lm
    given = models.model, models.detector, lm, neural
    files = [part for path in given if isinstance(path, Path) for part in parts_of(path)]
    if missing := next((path for path in files if not path.is_file()), None):
        raise HtrjandError(f"{missing}: no such file; check the path")
    return {
        "source": Store(task.source).shown(),
        "models": {path.name: sha256(path) for path in files},
        "version": __version__,
        "beam": models.beam,
        "kind": task.how.kind,
        "xml": task.form,
    }


def files_a_block(files: int, workers: int, most: int = BLOCK) -> int:
    """How many files a block has, if they are small."""
    return max(1, min(most, files // (workers * SHARES)))


def blocks_of(todo: Sequence[Entry], workers: int, most: int) -> list[dict[str, Any]]:
    """The files in blocks, each with a name that its files decide; smaller ones where there are few files."""
    most = files_a_block(len(todo), workers, most)
    found: list[dict[str, Any]] = []
    part: list[Entry] = []
    size = 0
    for entry in todo:
        weight = entry.size * (MANY_PAGES if holds_many(entry.path) else 1)
        if part and (len(part) == most or size + weight > BLOCK_BYTES):
            found.append(block_of(part))
            part, size = [], 0
        part.append(entry)
        size += weight
    return [*found, block_of(part)] if part else found


def results_of(
    ray: Any, task: Task, blocks: list[dict[str, Any]], workers: int, files: int,
    show: Callable[[int, int, int, float], None] | None,
) -> Generator[dict[str, Any], None, None]:  # fmt: skip
    """What the workers say of each block, as it is done.

    Ray Data hands the blocks to a pool of actors; where one ends, or its machine does, a new one reads its block again.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    tally = ray.remote(num_cpus=0)(Tally).options(scheduling_strategy=here, max_restarts=-1).remote()
    data = ray.data.from_items(blocks, override_num_blocks=len(blocks)).map_batches(
        Worker, fn_constructor_kwargs={"task": task, "tally": tally}, batch_size=1, num_cpus=1,
        compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=2),
    )  # fmt: skip
    ended, begun = threading.Event(), time.monotonic()

    def look() -> None:
        while not ended.wait(LOOK) and show is not None:
            try:
                pages, failed = ray.get(tally.seen.remote(), timeout=LOOK)
            except Exception:  # the tally is lost or late: the bar waits, the run does not
                continue
            show(files, pages, failed, time.monotonic() - begun)

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        for batch in data.iter_batches(batch_size=None, prefetch_batches=0):
            for values in zip(*batch.values(), strict=True):
                yield dict(zip(batch, values, strict=True))
    except ray.exceptions.RayError as error:
        raise HtrjandError(f"Ray ended the run ({last_line(error)}); the same command reads the rest") from error
    finally:
        ended.set()
        looking.join()


class Tally:
    """Counts pages as they are read, before their blocks are whole: for the bar alone."""

    def __init__(self) -> None:
        self.pages, self.failed = 0, 0

    def add(self, pages: int, failed: int) -> None:
        self.pages += pages
        self.failed += failed

    def seen(self) -> tuple[int, int]:
        return self.pages, self.failed


def knock(address: str) -> None:
    """Raises an OSError where nothing answers at `host:port`, of which Ray itself is sure after minutes alone."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=KNOCK).close()


def last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1]


@contextmanager
def ray_started(address: str | None, workers: int | None) -> Iterator[tuple[Any, int]]:
    """Ray, started on this machine or joined, and the cores that it has."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # it warns of its own pool of actors
    import ray
    import ray.data

    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    given: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address is None:
        usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        cores = workers or usable
        given |= {"num_cpus": cores, "include_dashboard": False, "object_store_memory": STORE_MEMORY}
    handler = signal.getsignal(
        signal.SIGTERM
    )  # Ray takes it for good; processes that the caller forks would have it, too
    try:
        if address is not None:
            knock(address)
        with quiet_stderr():  # it tells that it tells little
            ray.init(address=address or "local", **given)
    except (ConnectionError, ValueError, RuntimeError, OSError, ray.exceptions.RayError) as error:
        where, remedy = "Ray does not start here", "check its log, /tmp/ray/session_latest/logs"
        if address:
            where = f"{address}: no Ray cluster answers, or it wants another token"
            remedy = "check ray status, and RAY_AUTH_MODE and RAY_AUTH_TOKEN, which are the same on all its machines"
        raise UsageError(f"{where} ({str(error).strip().splitlines()[0]}); {remedy}") from error
    try:
        yield ray, int(ray.cluster_resources().get("CPU", 1))  # type: ignore[no-untyped-call]
    finally:
        with quiet_stderr():  # of workers that it ends
            ray.shutdown()
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)

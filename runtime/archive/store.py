"""Folders and object stores behind one interface: Arrow's file systems, and fsspec's for what Arrow does not know."""

from __future__ import annotations

import os
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from ..errors import HtrjandError, UsageError

Found = TypeVar("Found")

TRIES = 5  # of a store that does not answer, or says that it is busy
FIRST_WAIT = 0.5  # seconds before the second try; twice as long before each further one
FLAGS = {"true": True, "1": True, "false": False, "0": False}  # in an address
CONNECTION, ANSWER = 10, 30  # seconds in which S3 is to take a connection, and to go on with an answer


@dataclass(frozen=True, slots=True)
class Entry:
    """What is read in one go: a file of a store, or an image of a Parquet file.

    Attributes:
        path: below the address; of an image its name.
        size: bytes.
        modified: when the file was changed, in nanoseconds; of an image its CRC-32.
        group, row: where the image stands in its Parquet file.
    """

    path: str
    size: int
    modified: int
    group: int = -1
    row: int = -1


@dataclass(frozen=True)
class Store:
    """A folder, or an address such as `s3://bucket/scans` or `gs://…`; opened anew in each process that is given one.

    Arrow's options stand in the address: `s3://bucket/scans?endpoint_override=http://127.0.0.1:9000`.
    """

    address: str

    @cached_property
    def opened(self) -> tuple[Any, str]:
        """The file system, and the path in it. An address without a scheme is a local path.

        Raises:
            UsageError: no file system has this scheme.
            StoreError: the store is not reached.
        """
        from pyarrow import ArrowException, fs

        if "://" not in self.address:
            return fs.LocalFileSystem(), os.path.abspath(os.path.expanduser(self.address))
        try:
            system, root = fs.FileSystem.from_uri(self.address)
            return patient(system, self.address), root.rstrip("/")
        except OSError as error:
            raise StoreError(f"{self.shown()}: {first_line(error)}; check the address, and its options") from error
        except (ArrowException, ValueError) as problem:
            scheme, _, rest = self.address.partition("://")
            try:
                import fsspec

                found = fsspec.filesystem(scheme)
            except (ImportError, ValueError, TypeError) as error:
                # A key that is not percent-encoded may be why, and part of anything.
                hidden = re.sub(r"://.*@", "://…@", self.address)
                why = first_line(problem).replace(self.address, hidden)
                raise UsageError(
                    f"{hidden}: cannot be opened ({why}); give a folder, or an address that "
                    f"Arrow or an installed fsspec library knows ({first_line(error)})"
                ) from error
            return fs.PyFileSystem(fs.FSSpecHandler(found)), rest.partition("?")[0].rstrip("/")

    @property
    def is_local(self) -> bool:
        return bool(self.opened[0].type_name == "local")

    def path(self, name: str = "") -> str:
        """Where a file is in the file system."""
        root = self.opened[1]
        return f"{root}/{name}" if name else root

    def shown(self, name: str = "") -> str:
        """A file's address as a person is to read it, without options and keys."""
        root = self.address
        if "://" in root:
            scheme, _, place = root.partition("?")[0].partition("://")
            host, slash, path = place.partition("/")
            user, at, host = host.rpartition("@")
            # In S3 both parts are a key; elsewhere the first is a name, in Azure that of a container.
            user = "" if scheme == "s3" else user.partition(":")[0] + at
            root = f"{scheme}://{user}{host}{slash}{path}"
        return f"{root.rstrip('/')}{'/' * bool(name)}{name}"

    def kind(self, name: str = "") -> str:
        """`file`, `folder`, or `nothing`."""
        from pyarrow import fs

        info = self.attempt(lambda: self.opened[0].get_file_info(self.path(name)), name)
        return {fs.FileType.File: "file", fs.FileType.Directory: "folder"}.get(info.type, "nothing")

    def entries(self, name: str = "") -> list[Entry]:
        """All files below a folder, by their paths from the root, sorted; none where the folder is not there.

        Raises:
            HtrjandError: it may not be listed, or holds a name that is no text.
        """
        from pyarrow import fs

        if self.is_local:
            return sorted(self.attempt(lambda: list(self.files(self.path(name))), name), key=lambda entry: entry.path)
        root = self.path().lstrip("/") + "/"
        selector = fs.FileSelector(self.path(name), allow_not_found=True, recursive=True)
        infos = self.attempt(lambda: self.opened[0].get_file_info(selector), name)
        found = [
            Entry(info.path.lstrip("/").removeprefix(root), info.size or 0, info.mtime_ns or 0)
            for info in infos
            if info.type == fs.FileType.File
        ]
        return sorted(found, key=lambda entry: entry.path)

    def files(self, folder: str) -> Iterator[Entry]:
        """Those of a local folder and of the folders below; links are followed, each folder is looked into once."""
        seen = set()

        def refuse(error: OSError) -> None:
            if not isinstance(error, FileNotFoundError):
                raise error

        for place, below, names in os.walk(folder, onerror=refuse, followlinks=True):
            if os.path.realpath(place) in seen:
                below.clear()
                continue
            seen.add(os.path.realpath(place))
            for name in names:
                path = os.path.join(place, name)
                try:
                    path.encode()
                except UnicodeEncodeError as error:
                    raise HtrjandError(f"{os.fsencode(path)!r}: the name is not UTF-8; rename the file") from error
                try:
                    stat = os.stat(path)
                except FileNotFoundError:  # a link to nothing: a file that cannot be had, which its row will say
                    stat = os.lstat(path)
                yield Entry(os.path.relpath(path, self.path()), stat.st_size, stat.st_mtime_ns)

    def read(self, name: str = "") -> bytes:
        """The contents of a file."""

        def contents() -> bytes:
            with self.opened[0].open_input_stream(self.path(name), compression=None) as stream:
                data: bytes = stream.read()
                return data

        return self.attempt(contents, name)

    def parquet(self, use: Callable[[Any], Found], name: str = "") -> Found:
        """What a function makes of a Parquet file, which is opened for it.

        Raises:
            HtrjandError: it is cut short or damaged, or lacks what is asked of it; and as `attempt`.
        """
        from pyarrow import ArrowException
        from pyarrow import parquet as pq

        def step() -> Found:
            with self.opened[0].open_input_file(self.path(name)) as stream:
                try:
                    return use(pq.ParquetFile(stream))
                except (ArrowException, KeyError, IndexError, ValueError) as error:
                    raise damaged(error) from error
                except OSError as error:
                    if "deserialize" in str(error) or "Corrupt" in str(error):
                        raise damaged(error) from error
                    raise

        def damaged(error: Exception) -> HtrjandError:
            return HtrjandError(
                f"{self.shown(name)}: not a whole Parquet file ({first_line(error)}); remove it, or copy it again"
            )

        return self.attempt(step, name)

    def write(self, name: str, data: bytes) -> None:
        """Writes a file whole or not at all."""

        def put() -> None:
            system, final = self.opened[0], self.path(name)
            # A store shows what is written once it is complete; a folder shows it at once.
            target = f"{final}.{uuid.uuid4().hex}.part" if self.is_local else final
            if self.is_local:
                Path(final).parent.mkdir(parents=True, exist_ok=True)
            try:
                with system.open_output_stream(target, compression=None) as stream:
                    stream.write(data)
                if target != final:
                    with open(target, "rb") as written:
                        os.fsync(written.fileno())
                    os.replace(target, final)
            except OSError:  # a full disk is not to be kept full by what it cut short
                if target != final:
                    Path(target).unlink(missing_ok=True)
                raise

        self.attempt(put, name)

    def remove(self, name: str) -> None:
        """Removes a file; one that is not there is not missed."""

        def step() -> None:
            with suppress(FileNotFoundError):
                self.opened[0].delete_file(self.path(name))

        self.attempt(step, name)

    def attempt(self, step: Callable[[], Found], name: str) -> Found:
        """What a step gives, tried again where the store is slow or busy.

        Raises:
            HtrjandError: a file is not there or may not be used.
            StoreError: the store did not answer, after all tries.
        """
        shown = self.shown(name)
        for tries, wait in enumerate([*waits(), None], 1):
            try:
                return step()
            except FileNotFoundError as error:
                raise HtrjandError(f"{shown}: no such file or folder; check the address") from error
            except (PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError) as error:
                raise HtrjandError(
                    f"{shown}: may not be used ({first_line(error)}); check the path and its permissions"
                ) from error
            except OSError as error:
                if refused(error):
                    raise HtrjandError(
                        f"{shown}: the store refuses it ({first_line(error)}); check the keys and their rights"
                    ) from error
                if wait is None or (self.is_local and error.errno is not None):
                    raise StoreError(f"{shown}: {first_line(error)}; tried {tries} times") from error
                time.sleep(wait)
        raise AssertionError("the last try returns or raises")


def patient(system: Any, address: str) -> Any:
    """A file system of S3 that waits longer for an answer, and asks three times; all others as they are.

    Arrow's own waits three seconds, but some thirty times, and `attempt` asks again besides.
    """
    from pyarrow import fs

    if system.type_name != "s3":
        return system
    parts = urlsplit(address)
    given: dict[str, Any] = {key: FLAGS.get(value.lower(), value) for key, value in parse_qsl(parts.query)}
    if parts.username is not None:
        given |= {"access_key": unquote(parts.username), "secret_key": unquote(parts.password or "")}
    given |= {"connect_timeout": CONNECTION, "request_timeout": ANSWER}
    thrice = fs.AwsStandardS3RetryStrategy(max_attempts=3)  # a listing of a million files is a thousand requests
    try:
        return fs.S3FileSystem(**{"region": system.region} | given, retry_strategy=thrice)
    except TypeError:  # an option that stands in addresses alone
        return system


class StoreError(HtrjandError):
    """A store did not answer, or a disk failed. What failed so is tried again by the next run."""


def waits() -> Iterator[float]:
    """Seconds between the tries."""
    return (FIRST_WAIT * 2**number for number in range(TRIES - 1))


def refused(error: OSError) -> bool:
    """Whether a store says that this will not be had, however often it is asked."""
    text = str(error)
    return any(word in text for word in ("ACCESS_DENIED", "AccessDenied", "INVALID_ACCESS_KEY", "SIGNATURE_DOES_NOT",
                                         "HTTP status 403", "NO_SUCH_BUCKET"))  # fmt: skip


def first_line(error: object) -> str:
    return str(error).strip().partition("\n")[0]

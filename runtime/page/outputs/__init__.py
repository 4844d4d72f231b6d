"""What a page can be written as, in one table.

To add an output: a function here or in a file of its own that writes pages to a stream, and a row below.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import BinaryIO

from ...errors import UsageError
from ..page import Page
from .alto import write_alto
from .hocr import write_hocr
from .page_xml import write_page_xml
from .pdf import write_pdf
from .plain import write_json, write_text, write_tsv


@dataclass(frozen=True)
class Output:
    """A format of pages.

    Attributes:
        suffix: of its files.
        write: writes pages, one after the other as they come, so that a long document need not be in memory.
        joined: whether a file may hold any number of pages; else it holds exactly one.
    """

    suffix: str
    write: Callable[[Iterable[Page], BinaryIO], None]
    joined: bool = True


OUTPUTS: dict[str, Output] = {
    "txt": Output(".txt", write_text),
    "json": Output(".json", write_json),  # a page a line
    "tsv": Output(".tsv", write_tsv),
    "hocr": Output(".hocr", write_hocr),
    "alto": Output(".alto.xml", write_alto, joined=False),
    "page": Output(".page.xml", write_page_xml, joined=False),
    "pdf": Output(".pdf", write_pdf),  # opens each page's image again
}


def output_of(name: str) -> Output:
    """The format of a name, or a UsageError that lists them."""
    if name not in OUTPUTS:
        raise UsageError(f"no output is called {name!r}; choose one of {', '.join(OUTPUTS)}")
    return OUTPUTS[name]


def as_bytes(page: Page, name: str) -> bytes:
    """A page as the contents of a file in a format of the table."""
    stream = io.BytesIO()
    output_of(name).write([page], stream)
    return stream.getvalue()

"""Reads untrusted XML: no entities, no document types, no network access. Elements are found by their local names.

PAGE and ALTO change their namespace with every edition but keep the names of elements, so the namespace is ignored.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import parse

from ....runtime.errors import HtrjandError

MAX_BYTES = 64 << 20  # of one file; a page with a polygon for every letter has about 5 MB


class XmlError(HtrjandError):
    """An XML file that cannot be used. The message is one of few fixed reasons, so that they can be counted."""


def parse_xml(path: Path) -> Element:
    """The root element of a file in any encoding it declares.

    Raises:
        XmlError: the file is no plain file, is too large, is not well-formed, or declares a document type.
    """
    try:
        if not path.is_file():
            raise XmlError("XML is no plain file")
        if path.stat().st_size > MAX_BYTES:
            raise XmlError(f"XML is larger than {MAX_BYTES >> 20} MiB")
        root = parse(path, forbid_dtd=True).getroot()
    except OSError as error:
        raise XmlError("XML may not be read") from error
    except DefusedXmlException as error:
        raise XmlError("XML declares a document type or entities") from error
    except (ParseError, ValueError, LookupError) as error:  # the last two: an unknown encoding
        raise XmlError("XML is cut short or broken") from error
    if root is None:
        raise XmlError("XML is cut short or broken")
    return root


def local(element: Element) -> str:
    """An element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def children(element: Element, *names: str) -> Iterator[Element]:
    """The direct children of these names, in document order."""
    return (child for child in element if local(child) in names)


def child(element: Element, *path: str) -> Element | None:
    """The first element down a path of names, or None."""
    found: Element | None = element
    for name in path:
        found = None if found is None else next(children(found, name), None)
    return found

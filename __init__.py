"""Handwritten text recognition for small machines: train, compress, export, read, measure."""

__version__ = "0.1.0"

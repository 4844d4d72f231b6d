"""Synthetic lines of handwriting and of print, drawn from font files.

`render` draws the bundled sample, and must keep drawing it pixel for pixel. Training lines come from `hand.draw_line`,
six times as fast and with many more defects of real pages, the more the higher the difficulty.

`fonts` lists the fonts; `text` makes up texts, also from the files that `prose` reads; `look` holds the ranges of a
line's appearance for each difficulty; `hand` draws handwriting, `press` print and typewriting; `paper` adds paper and
scanner; `lines` writes thousands of lines into a Parquet file.
"""

from .hand import draw_line as draw_line
from .look import Look as Look
from .look import look_at as look_at
from .render import Style as Style
from .render import clouds as clouds
from .render import missing_characters as missing_characters
from .render import open_font as open_font
from .render import render_line as render_line
from .render import stroke_width as stroke_width

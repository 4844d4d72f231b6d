"""Lines of handwriting, and of print, drawn from font files.

`render` draws the bundled sample and stays as it is, pixel for pixel. For training there is `draw_line`, six times as
fast and with much more of what real pages do to a line, the more the higher its difficulty: `look` says how far, `hand`
writes, `paper` is what it is written on. `press` sets print and typewriting. `fonts` lists the hands and
faces, `text` makes up what they write, also from the files that `prose` reads, and `lines` draws thousands into a
Parquet file.
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

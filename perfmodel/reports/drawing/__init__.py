"""Charts as plain SVG: they weigh kilobytes, need no script, and take their ink from the page."""

from perfmodel.reports.drawing.bars import Bar, Part, bars
from perfmodel.reports.drawing.lines import Axis, Line, Mark, lines

__all__ = ["Axis", "Bar", "Line", "Mark", "Part", "bars", "lines"]

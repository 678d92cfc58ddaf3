"""A gallery of answered questions: pages that are small, stand alone, and draw their conclusions from the numbers."""

from perfmodel.gallery.build import build_gallery, index_html, story_html
from perfmodel.gallery.stories import STORIES
from perfmodel.gallery.story import Story, Told

__all__ = ["STORIES", "Story", "Told", "build_gallery", "index_html", "story_html"]

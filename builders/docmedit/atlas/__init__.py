"""Document edits from an embedded world: real changes of countries and cities, invented lives."""

from __future__ import annotations

from builders.docmedit.atlas.source import AtlasSource

__all__ = ["AtlasSource"]

"""Bounding boxes: formats, overlaps, geometry, and the deltas that detectors predict."""

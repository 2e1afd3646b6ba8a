"""Scoring of model editors."""

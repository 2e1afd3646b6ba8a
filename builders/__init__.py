"""Builders turn sources into validated edit data sets."""

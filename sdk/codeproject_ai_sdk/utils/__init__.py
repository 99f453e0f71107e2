"""Helpers for modules that work with images, and for checking their environment."""

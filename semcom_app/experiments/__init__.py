"""Measurements behind the documentation's figures, as functions of seeds and sizes."""

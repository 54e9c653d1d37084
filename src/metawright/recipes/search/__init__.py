"""Searching for a design from end to end: data and a space in, a network, a front and why out."""

"""Simulated teachers: endpoints on loopback with the API of real ones."""

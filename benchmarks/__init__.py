"""Measures accuracy, speed, memory and size of models and of other programs (peers) on this machine."""

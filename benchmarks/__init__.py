"""Accuracy, speed, memory and size of models and of other people's readers, on this machine."""

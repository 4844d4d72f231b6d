"""A corrector of what was read: a small T5, taught by the errors that the reader makes."""
